// SPDX-License-Identifier: Apache-2.0
// An empty overlay is four parts of whole clusters: header, refcount table, one refcount block, L1 table. One
// block counts 2 GiB of clusters, far more than the parts need.
#include "cachegen/cache/overlay.hpp"

#include "cachegen/cache/qcow2_format.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace vmi {
namespace {

void write_overlay(const Fd& file, const fs::path& path, Bytes virtual_bytes) {
  constexpr Bytes kTable = kOverlayCluster;
  constexpr Bytes kBlock = 2 * kOverlayCluster;
  constexpr Bytes kL1 = 3 * kOverlayCluster;
  const Bytes l1_entries = qcow2::l1_entries(virtual_bytes, kOverlayCluster, 16);
  if (l1_entries * 8 > qcow2::kMostL1Bytes) {
    throw Error(ExitStatus::unusable,
                "an image of " + format_size(virtual_bytes) + " is larger than QEMU allows");
  }
  const Bytes end = kL1 + round_up(l1_entries * 8, kOverlayCluster);

  qcow2::FirstCluster first;
  first.header.cluster_bits = qcow2::cluster_bits_of(kOverlayCluster);
  first.header.virtual_bytes = virtual_bytes;
  first.header.l1_entries = static_cast<std::uint32_t>(l1_entries);
  first.header.l1_offset = kL1;
  first.header.refcount_table_offset = kTable;
  first.header.refcount_table_clusters = 1;
  first.header.incompatible = qcow2::kIncompatibleExtendedL2;

  ByteWriter table;
  table.u64(kBlock);
  ByteWriter block;
  for (Bytes cluster = 0; cluster < end / kOverlayCluster; ++cluster) block.u16(1);

  // What stays unwritten reads as zeros and costs nothing.
  if (ftruncate(file.get(), static_cast<off_t>(end)) != 0)
    throw_errno(ExitStatus::environment, "cannot size '" + path.string() + "'");
  const std::vector<std::byte> head = qcow2::encode(first);
  pwrite_all(file, std::span(head).first(4096), 0, path);
  pwrite_all(file, table.bytes(), kTable, path);
  pwrite_all(file, block.bytes(), kBlock, path);
}

}  // namespace

void create_overlay(const fs::path& path, Bytes virtual_bytes) {
  const Fd file = open_file(path, O_RDWR | O_CREAT | O_EXCL, 0600);
  try {
    write_overlay(file, path, round_up(virtual_bytes, 512));
  } catch (...) {
    unlink(path.c_str());
    throw;
  }
}

}  // namespace vmi
