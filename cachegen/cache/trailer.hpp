// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "cachegen/cache/identity.hpp"

namespace vmi {

// What makes a qcow2 file a boot cache; docs/cache-format.md has it byte by byte.

inline constexpr std::uint32_t kCacheExtensionType = 0x564d4943;  ///< "VMIC"
inline constexpr std::uint32_t kCacheFormatVersion = 1;
/// The autoclear bit that says that the trailer is still true. QEMU clears bits that it does not know when it opens a
/// file for writing.
inline constexpr std::uint64_t kAutoclearSealed = 1ULL << 40;

/// Our header extension.
struct CacheExtension {
  Bytes quota = 0;          ///< 0: none
  std::string facts_digest; ///< hash128_hex of the profile facts as they stand in the trailer
  Bytes trailer_offset = 0;
  Bytes trailer_bytes = 0;

  std::vector<std::byte> encode() const;
  static CacheExtension decode(std::span<const std::byte> bytes);  ///< throws Error(unusable)
};

/// What a checksum outside the data chunks covers.
enum class Region : std::uint32_t { header = 1, refcounts = 2, l1 = 3, l2 = 4, first_data = 5 };
const char* region_name(Region region);

struct RegionSum {
  Region region = Region::header;
  Bytes offset = 0;
  Bytes bytes = 0;
  std::uint64_t hash = 0;
};

/// A run of clusters in boot order.
struct OrderRun {
  std::uint64_t cluster = 0;  ///< guest offset / cluster size
  std::uint64_t count = 0;
  bool zero = false;          ///< reads as zeros: no data in the file
  std::int64_t first_access_us = 0;
  bool operator==(const OrderRun&) const = default;
};

struct Trailer {
  BaseIdentity base;
  nlohmann::json facts = nlohmann::json::object();
  std::vector<RegionSum> regions;
  std::vector<std::uint64_t> chunk_hashes;  ///< hash64 of every kDigestChunk of the file that ends before the trailer does
  std::vector<OrderRun> order;
};

}  // namespace vmi
