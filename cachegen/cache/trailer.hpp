// SPDX-License-Identifier: Apache-2.0
// What makes a qcow2 file a boot cache: a header extension and a trailer. docs/cache-format.md has both byte
// by byte.
#pragma once

#include "cachegen/cache/identity.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

inline constexpr std::uint32_t kCacheExtensionType = 0x564d4943;  ///< "VMIC"
inline constexpr std::uint32_t kCacheFormatVersion = 1;
/// The autoclear bit that says that the trailer is still true. QEMU clears bits that it does not know when it
/// opens a file for writing.
inline constexpr std::uint64_t kAutoclearSealed = 1ULL << 40;

/// hash128_hex of profile facts as they stand in a trailer.
std::string facts_digest_of(const nlohmann::json& facts);

/// Our header extension.
struct CacheExtension {
  Bytes quota = 0;           ///< 0: none
  std::string facts_digest;  ///< facts_digest_of() the trailer's profile facts
  Bytes trailer_offset = 0;
  Bytes trailer_bytes = 0;

  std::vector<std::byte> encode() const;
  static CacheExtension decode(std::span<const std::byte> bytes);  ///< throws Error(unusable)
};

/// What a checksum covers, apart from those of whole chunks.
enum class Region : std::uint32_t { header = 1, refcounts = 2, l1 = 3, l2 = 4, data = 5 };

struct RegionSum {
  Region region = Region::header;
  Bytes offset = 0;
  Bytes bytes = 0;  ///< 0: there is no such part
  std::uint64_t hash = 0;
};

/// Header, refcounts, L1, L2, and the data that shares a chunk with metadata in front or with the trailer
/// behind.
using RegionSums = std::array<RegionSum, 6>;

/// A run of guest clusters, in boot order.
struct OrderRun {
  std::uint64_t cluster = 0;  ///< guest offset / cluster size
  std::uint64_t count = 0;
  bool zero = false;  ///< reads as zeros: no data in the file
  std::int64_t first_access_us = 0;

  std::uint64_t end() const { return cluster + count; }
  bool operator==(const OrderRun&) const = default;
};

struct Trailer {
  BaseIdentity base;
  nlohmann::json facts = nlohmann::json::object();
  RegionSums regions;
  std::vector<std::uint64_t>
      chunk_hashes;  ///< hash64 of every kDigestChunk of the file that ends before the trailer begins
  std::vector<OrderRun> order;

  /// The trailer as it lies at `offset` of the file.
  std::vector<std::byte> encode(Bytes offset) const;
  /// Throws Error(unusable) for whatever is wrong with it, its checksums included.
  static Trailer decode(std::span<const std::byte> bytes, Bytes offset);
};

/// The last bytes of a boot cache: they find the trailer when the header cannot.
inline constexpr std::size_t kFooterBytes = 40;
struct Footer {
  Bytes trailer_offset = 0;
  Bytes trailer_bytes = 0;
};
/// Nothing when these are no footer, or a damaged one.
std::optional<Footer> decode_footer(std::span<const std::byte, kFooterBytes> bytes);

/// Size of the trailer, kept up to date while clusters are added one by one, so that a quota can be met to
/// the byte.
class TrailerSize {
 public:
  TrailerSize(const BaseIdentity& base, const nlohmann::json& facts);
  void add(std::uint64_t cluster, bool zero, std::int64_t first_access_us);
  Bytes bytes(Bytes trailer_offset) const;

  /// What takes the last add() back: rewind(m) right after `m = mark(); add(...)`.
  struct Mark {
    std::size_t closed_runs_bytes = 0;
    std::size_t runs = 0;
  };
  Mark mark() const { return {closed_runs_bytes_, order_.size()}; }
  void rewind(const Mark& mark);
  const std::vector<OrderRun>& order() const { return order_; }

 private:
  std::size_t fixed_bytes_ = 0;
  std::size_t closed_runs_bytes_ = 0;  ///< encoded size of all runs but the last
  std::vector<OrderRun> order_;
};

}  // namespace vmi
