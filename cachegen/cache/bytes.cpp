// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/bytes.hpp"

#include "cachegen/support/error.hpp"

#include <cstring>

namespace vmi {

void ByteWriter::integer(std::uint64_t value, int width) {
  for (int shift = 8 * (width - 1); shift >= 0; shift -= 8)
    bytes_.push_back(static_cast<std::byte>(value >> shift));
}

void ByteWriter::varint(std::uint64_t value) {
  while (value >= 0x80) {
    bytes_.push_back(static_cast<std::byte>(value | 0x80));
    value >>= 7;
  }
  bytes_.push_back(static_cast<std::byte>(value));
}

std::size_t varint_bytes(std::uint64_t value) {
  std::size_t count = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++count;
  }
  return count;
}

std::span<const std::byte> ByteReader::raw(std::size_t count) {
  if (count > left()) throw Error(ExitStatus::unusable, what_ + " is cut short");
  const auto result = bytes_.subspan(position_, count);
  position_ += count;
  return result;
}

std::uint64_t ByteReader::integer(int width) {
  std::uint64_t value = 0;
  for (const std::byte b : raw(static_cast<std::size_t>(width)))
    value = value << 8 | std::to_integer<std::uint64_t>(b);
  return value;
}

std::uint64_t ByteReader::varint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto b = std::to_integer<std::uint64_t>(raw(1)[0]);
    if (shift == 63 && b > 1) break;
    value |= (b & 0x7f) << shift;
    if ((b & 0x80) == 0) return value;
  }
  throw Error(ExitStatus::unusable, what_ + " holds a number of more than 64 bits");
}

std::string ByteReader::text(std::size_t count) {
  const auto bytes = raw(count);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::uint64_t load_be64(const std::byte* at) {
  std::uint64_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap64(value);
}

void store_be64(std::byte* at, std::uint64_t value) {
  value = __builtin_bswap64(value);
  std::memcpy(at, &value, sizeof value);
}

void store_be16(std::byte* at, std::uint16_t value) {
  value = __builtin_bswap16(value);
  std::memcpy(at, &value, sizeof value);
}

bool all_zero(std::span<const std::byte> bytes) {
  // Equal to itself moved by one byte, and the first byte zero: memcmp runs at memory speed.
  return bytes.empty() ||
         (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace vmi
