// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/checksums.hpp"

#include "cachegen/cache/range_hash.hpp"
#include "cachegen/support/hash.hpp"

#include <algorithm>

namespace vmi {
namespace {

std::string place(Bytes begin, Bytes end) {
  return "file bytes " + std::to_string(begin) + " to " + std::to_string(end - 1);
}

Fault fault_of(Region region) {
  switch (region) {
    case Region::header:
      return Fault::header;
    case Region::refcounts:
      return Fault::refcounts;
    case Region::l1:
      return Fault::l1_table;
    case Region::l2:
      return Fault::l2_table;
    case Region::data:
      return Fault::data;
  }
  return Fault::structure;
}

const char* name_of(Region region) {
  switch (region) {
    case Region::header:
      return "its header is";
    case Region::refcounts:
      return "its reference counts are";
    case Region::l1:
      return "its L1 table is";
    case Region::l2:
      return "its L2 tables are";
    case Region::data:
      return "its cached data are";
  }
  return "it is";
}

void add_damage(ChecksumResult& result, Region region, Bytes begin, Bytes end) {
  if (region == Region::data) result.bad_data.emplace_back(begin, end);
  result.findings.push_back({fault_of(region), std::string(name_of(region)) + " damaged: the checksum of " +
                                                   place(begin, end) + " does not match"});
}

/// Where data begins and ends, by the trailer.
std::pair<Bytes, Bytes> data_span(const Trailer& trailer) {
  const RegionSum& head = trailer.regions[4];
  const RegionSum& tail = trailer.regions[5];
  return {head.offset + head.bytes, tail.offset};
}

}  // namespace

void check_regions(const Inspection& cache, ChecksumResult& result) {
  for (const RegionSum& sum : cache.trailer->regions) {
    if (sum.region == Region::header || sum.bytes == 0)
      continue;  // the header was checked when the file was taken apart
    if (sum.offset > cache.file_bytes || sum.bytes > cache.file_bytes - sum.offset) {
      result.findings.push_back(
          {Fault::structure, "its trailer has a checksum of bytes behind the file's end"});
      continue;
    }
    result.checked_bytes += sum.bytes;
    if (hash_range(cache.file, sum.offset, sum.bytes, cache.path) != sum.hash)
      add_damage(result, sum.region, sum.offset, sum.offset + sum.bytes);
  }
}

void check_chunks(const Inspection& cache, ChecksumResult& result, const std::function<void(Bytes)>& done) {
  const auto [begin, end] = data_span(*cache.trailer);
  const auto& hashes = cache.trailer->chunk_hashes;
  std::vector<std::byte> chunk(kDigestChunk);
  for (Bytes at = begin; at < end; at += kDigestChunk) {
    if (at % kDigestChunk != 0 || at / kDigestChunk >= hashes.size() ||
        at + kDigestChunk > cache.file_bytes) {
      result.findings.push_back(
          {Fault::structure, "its trailer has no checksum for " + place(at, at + kDigestChunk)});
      return;
    }
    pread_all(cache.file, chunk, at, cache.path);
    result.checked_bytes += chunk.size();
    if (hash64(chunk) != hashes[at / kDigestChunk]) add_damage(result, Region::data, at, at + kDigestChunk);
    if (done) done(at + kDigestChunk - begin);
  }
}

std::string check_order(const Trailer& trailer, const std::vector<CachedExtent>& extents,
                        Bytes cluster_bytes) {
  // Both as (image offset, file offset or none) of maximal runs.
  std::vector<CachedExtent> expected;
  Bytes data = trailer.regions[4].offset;
  for (const OrderRun& run : trailer.order) {
    const Bytes bytes = run.count * cluster_bytes;
    expected.push_back({run.cluster * cluster_bytes, bytes, run.zero ? std::nullopt : std::optional(data)});
    if (!run.zero) data += bytes;
  }
  std::ranges::sort(expected, {}, &CachedExtent::offset);
  std::vector<CachedExtent> merged;
  for (const CachedExtent& run : expected) {
    if (!merged.empty()) {
      CachedExtent& last = merged.back();
      const bool adjacent = last.offset + last.bytes == run.offset &&
                            last.file_offset.has_value() == run.file_offset.has_value();
      if (adjacent && (!run.file_offset || *last.file_offset + last.bytes == *run.file_offset)) {
        last.bytes += run.bytes;
        continue;
      }
    }
    merged.push_back(run);
  }
  const auto [ours, theirs] = std::ranges::mismatch(merged, extents);
  if (ours == merged.end() && theirs == extents.end()) return {};
  const Bytes where = ours == merged.end()      ? theirs->offset
                      : theirs == extents.end() ? ours->offset
                                                : std::min(ours->offset, theirs->offset);
  return "its tables and its boot order disagree about image byte " + std::to_string(where);
}

}  // namespace vmi
