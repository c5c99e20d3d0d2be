// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/units.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vmi {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Builds a block of bytes in qcow2's byte order, big-endian.
class ByteWriter {
 public:
  void u16(std::uint16_t value) { integer(value, 2); }
  void u32(std::uint32_t value) { integer(value, 4); }
  void u64(std::uint64_t value) { integer(value, 8); }
  /// LEB128: seven bits a byte, lowest first, the top bit set on all bytes but the last.
  void varint(std::uint64_t value);
  void raw(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void text(std::string_view text) { raw(bytes_of(text)); }
  void zeros(std::size_t count) { bytes_.resize(bytes_.size() + count); }
  void pad_to(std::size_t unit) { bytes_.resize(round_up(bytes_.size(), unit)); }

  std::size_t size() const { return bytes_.size(); }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  std::vector<std::byte> take() { return std::exchange(bytes_, {}); }

 private:
  void integer(std::uint64_t value, int width);
  std::vector<std::byte> bytes_;
};

/// How many bytes ByteWriter::varint() writes for `value`.
std::size_t varint_bytes(std::uint64_t value);

/// Takes a block of bytes apart; whatever would reach past its end throws Error(unusable, "<what> is cut
/// short").
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string_view what) : bytes_(bytes), what_(what) {}

  std::uint16_t u16() { return static_cast<std::uint16_t>(integer(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(integer(4)); }
  std::uint64_t u64() { return integer(8); }
  std::uint64_t varint();
  std::span<const std::byte> raw(std::size_t count);
  std::string text(std::size_t count);
  void skip(std::size_t count) { raw(count); }

  std::size_t position() const { return position_; }
  std::size_t left() const { return bytes_.size() - position_; }

 private:
  std::uint64_t integer(int width);
  std::span<const std::byte> bytes_;
  std::string what_;
  std::size_t position_ = 0;
};

std::uint64_t load_be64(const std::byte* at);
void store_be64(std::byte* at, std::uint64_t value);
void store_be16(std::byte* at, std::uint16_t value);

/// Signed numbers with small magnitudes as small unsigned ones, for varints.
constexpr std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

/// True when every byte is zero.
bool all_zero(std::span<const std::byte> bytes);

}  // namespace vmi
