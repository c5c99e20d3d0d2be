// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/cache_image.hpp"

#include "cachegen/cache/bytes.hpp"
#include "cachegen/cache/range_hash.hpp"
#include "cachegen/support/hash.hpp"

#include <algorithm>

#include <unistd.h>

namespace vmi {
namespace {

constexpr std::size_t kWrite = 1 * MiB;
constexpr std::size_t kPage = 4 * KiB;

}  // namespace

CacheImage::CacheImage(const Fd& file, const fs::path& path, const Geometry& geometry, const Layout& layout,
                       const std::map<std::uint64_t, std::uint64_t>& l2_tables)
    : file_(file),
      path_(path),
      geometry_(geometry),
      layout_(layout),
      l2_tables_(l2_tables),
      l2_(l2_tables.size() * geometry.cluster_bytes),
      data_end_(layout.data) {
  pending_.reserve(kWrite + geometry.cluster_bytes);
}

std::byte* CacheImage::l2_entry(std::uint64_t cluster) {
  const Bytes entries = qcow2::l2_entries(geometry_.cluster_bytes);
  return &l2_.at(l2_tables_.at(cluster / entries) * geometry_.cluster_bytes + cluster % entries * 8);
}

void CacheImage::put_zero(std::uint64_t cluster) {
  store_be64(l2_entry(cluster), qcow2::kZero);
}

void CacheImage::put_data(std::uint64_t cluster, std::span<const std::byte> bytes) {
  store_be64(l2_entry(cluster), qcow2::kCopied | data_end_);
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  data_end_ += bytes.size();
  if (pending_.size() >= kWrite) flush();
}

void CacheImage::flush() {
  pwrite_all(file_, pending_, data_end_ - pending_.size(), path_);
  pending_.clear();
}

void CacheImage::write_tables(Bytes end) {
  const Bytes cluster = geometry_.cluster_bytes;
  std::vector<std::byte> blocks(layout_.l1 - layout_.refcount_blocks);
  std::vector<std::byte> table(layout_.refcount_blocks - layout_.refcount_table);
  for (std::uint64_t i = 0; i < end / cluster; ++i) store_be16(&blocks[i * 2], 1);
  for (std::uint64_t i = 0; i < blocks.size() / cluster; ++i)
    store_be64(&table[i * 8], layout_.refcount_blocks + i * cluster);
  pwrite_all(file_, table, layout_.refcount_table, path_);
  pwrite_all(file_, blocks, layout_.refcount_blocks, path_);
  pwrite_all(file_, l2_, layout_.l2, path_);

  // L1 spans the whole image, and most of it is empty: pages without an entry stay holes.
  for (auto entry = l2_tables_.begin(); entry != l2_tables_.end();) {
    const std::uint64_t page = entry->first * 8 / kPage;
    std::vector<std::byte> bytes(std::min<Bytes>(kPage, layout_.l2 - layout_.l1 - page * kPage));
    for (; entry != l2_tables_.end() && entry->first * 8 / kPage == page; ++entry) {
      store_be64(&bytes[entry->first * 8 % kPage], qcow2::kCopied | (layout_.l2 + entry->second * cluster));
    }
    pwrite_all(file_, bytes, layout_.l1 + page * kPage, path_);
  }
}

RegionSums CacheImage::region_sums(Bytes data_end) const {
  const Bytes head_end = std::min(round_up(layout_.data, kDigestChunk), data_end);
  const Bytes tail = std::max(round_down(data_end, kDigestChunk), head_end);
  RegionSums sums = {{
      {Region::header, 0, geometry_.cluster_bytes},
      {Region::refcounts, layout_.refcount_table, layout_.l1 - layout_.refcount_table},
      {Region::l1, layout_.l1, layout_.l2 - layout_.l1},
      {Region::l2, layout_.l2, layout_.data - layout_.l2},
      {Region::data, layout_.data, head_end - layout_.data},
      {Region::data, tail, data_end - tail},
  }};
  for (RegionSum& sum : sums) sum.hash = hash_range(file_, sum.offset, sum.bytes, path_);
  return sums;
}

Bytes CacheImage::finish(qcow2::FirstCluster first, Bytes quota, Trailer trailer) {
  flush();
  const Bytes end = data_end_;
  if (ftruncate(file_.get(), static_cast<off_t>(end)) != 0)
    throw_errno(ExitStatus::environment, "cannot size '" + path_.string() + "'");
  write_tables(end);

  trailer.chunk_hashes.resize(end / kDigestChunk);
  CacheExtension extension;
  extension.quota = quota;
  extension.facts_digest = facts_digest_of(trailer.facts);
  extension.trailer_offset = end;
  extension.trailer_bytes = trailer.encode(end).size();  // its size does not depend on the checksums

  first.extensions.push_back({kCacheExtensionType, extension.encode()});
  first.header.cluster_bits = qcow2::cluster_bits_of(geometry_.cluster_bytes);
  first.header.virtual_bytes = geometry_.virtual_bytes;
  first.header.l1_entries =
      static_cast<std::uint32_t>(qcow2::l1_entries(geometry_.virtual_bytes, geometry_.cluster_bytes));
  first.header.l1_offset = layout_.l1;
  first.header.refcount_table_offset = layout_.refcount_table;
  first.header.refcount_table_clusters = static_cast<std::uint32_t>(
      (layout_.refcount_blocks - layout_.refcount_table) / geometry_.cluster_bytes);
  first.header.autoclear = kAutoclearSealed;
  pwrite_all(file_, qcow2::encode(first), 0, path_);

  // From here on, what is hashed is what was written.
  trailer.regions = region_sums(end);
  trailer.chunk_hashes = chunk_hashes(file_, round_down(end, kDigestChunk));
  const std::vector<std::byte> bytes = trailer.encode(end);
  pwrite_all(file_, bytes, end, path_);
  return end + bytes.size();
}

}  // namespace vmi
