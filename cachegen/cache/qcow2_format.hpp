// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/bytes.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

/// The parts of the qcow2 version 3 format that this project writes and reads: QEMU's docs/interop/qcow2.txt.
namespace vmi::qcow2 {

inline constexpr std::uint32_t kMagic = 0x514649fb;  ///< "QFI\xfb"
inline constexpr std::uint64_t kIncompatibleExtendedL2 = 1ULL << 4;
inline constexpr std::uint32_t kExtensionEnd = 0;
inline constexpr std::uint32_t kExtensionBackingFormat = 0xe2792aca;

// Entries of L1 and L2 tables.
inline constexpr std::uint64_t kCopied = 1ULL << 63;      ///< reference count is exactly one
inline constexpr std::uint64_t kCompressed = 1ULL << 62;  ///< L2 only
inline constexpr std::uint64_t kZero = 1;                 ///< L2 only: reads as zeros
inline constexpr std::uint64_t kOffsetMask = 0x00fffffffffffe00;

inline constexpr Bytes kLeastCluster = 512;
inline constexpr Bytes kMostCluster = 2 * MiB;
inline constexpr Bytes kMostL1Bytes = 32 * MiB;        ///< QCOW_MAX_L1_SIZE of QEMU's block/qcow2.h
inline constexpr std::size_t kMostBackingName = 1023;  ///< QEMU's block/qcow2.c, qcow2_do_open
inline constexpr std::uint32_t kHeaderLength = 112;
inline constexpr int kRefcountOrder = 4;  ///< 16 bits a cluster, QEMU's default

struct Header {
  std::uint32_t version = 3;
  std::uint64_t backing_name_offset = 0;
  std::uint32_t backing_name_length = 0;
  std::uint32_t cluster_bits = 0;
  Bytes virtual_bytes = 0;
  std::uint32_t crypt_method = 0;
  std::uint32_t l1_entries = 0;
  std::uint64_t l1_offset = 0;
  std::uint64_t refcount_table_offset = 0;
  std::uint32_t refcount_table_clusters = 0;
  std::uint32_t snapshots = 0;
  std::uint64_t snapshots_offset = 0;
  std::uint64_t incompatible = 0;
  std::uint64_t compatible = 0;
  std::uint64_t autoclear = 0;
  std::uint32_t refcount_order = kRefcountOrder;
  std::uint32_t header_length = kHeaderLength;

  Bytes cluster_bytes() const { return Bytes{1} << cluster_bits; }
};

/// Where the autoclear bits lie in the file.
inline constexpr std::size_t kAutoclearOffset = 88;

struct Extension {
  std::uint32_t type = 0;
  std::vector<std::byte> data;
};

/// What qcow2 keeps in the first cluster: header, header extensions, backing file name.
struct FirstCluster {
  Header header;
  std::vector<Extension> extensions;
  std::string backing_name;

  const Extension* find(std::uint32_t type) const;
};

/// Bytes that the first cluster needs for `first`; it must have cluster_bytes() of them at the least.
std::size_t first_cluster_need(const FirstCluster& first);

/// The first cluster, all cluster_bytes() of it; sets the offset and length of the backing name. Throws
/// Error(unusable) that says how many bytes are missing when it does not fit.
std::vector<std::byte> encode(const FirstCluster& first);

/// Reads header, extensions and backing name from the beginning of a file. Trusts nothing: throws
/// Error(unusable) for whatever is not a sound version 3 header. Offsets of tables are not looked at: they
/// need the file.
FirstCluster decode(std::span<const std::byte> beginning);

/// log2 of a cluster size; throws Error(usage) unless it is a power of two from 512 bytes to 2 MiB.
std::uint32_t cluster_bits_of(Bytes cluster_bytes);

/// Entries of a (not extended) L2 table, which fills one cluster.
constexpr Bytes l2_entries(Bytes cluster_bytes) {
  return cluster_bytes / 8;
}
/// Clusters that one refcount block, which fills one cluster, counts.
constexpr Bytes refcounts_per_block(Bytes cluster_bytes) {
  return cluster_bytes * 8 >> kRefcountOrder;
}
/// Entries of the L1 table of an image; `l2_entry_bytes` is 16 with extended_l2.
constexpr Bytes l1_entries(Bytes virtual_bytes, Bytes cluster_bytes, Bytes l2_entry_bytes = 8) {
  const Bytes covered = cluster_bytes / l2_entry_bytes * cluster_bytes;
  return virtual_bytes / covered + (virtual_bytes % covered != 0 ? 1 : 0);
}

/// The largest image that a cluster size allows, by QEMU's limit on the L1 table.
constexpr Bytes most_virtual_bytes(Bytes cluster_bytes) {
  return kMostL1Bytes / 8 * l2_entries(cluster_bytes) * cluster_bytes;
}

}  // namespace vmi::qcow2
