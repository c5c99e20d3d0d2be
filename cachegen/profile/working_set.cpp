// SPDX-License-Identifier: Apache-2.0
#include "cachegen/profile/working_set.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_map>

namespace vmi {
namespace {

using Block = std::uint64_t;  ///< offset / granularity

std::unordered_map<Block, std::int64_t> first_accesses(const std::vector<TimedRead>& reads, Bytes granularity,
                                                       Bytes image_bytes) {
  std::unordered_map<Block, std::int64_t> first;
  for (const TimedRead& read : reads) {
    if (read.bytes == 0 || read.offset >= image_bytes) continue;
    // A device reads a little before the guest starts; that is its beginning.
    const std::int64_t time = std::max<std::int64_t>(read.time_us, 0);
    const Bytes end = read.bytes < image_bytes - read.offset ? read.offset + read.bytes : image_bytes;
    for (Block block = read.offset / granularity; block <= (end - 1) / granularity; ++block) {
      const auto [entry, is_new] = first.emplace(block, time);
      if (!is_new) entry->second = std::min(entry->second, time);
    }
  }
  return first;
}

struct MergedBlock {
  Block block = 0;
  std::int64_t time_sum = 0;
  int runs_seen = 0;
  std::int64_t mean() const { return time_sum / runs_seen; }
};

std::vector<MergedBlock> merge_blocks(const std::vector<std::unordered_map<Block, std::int64_t>>& runs) {
  std::unordered_map<Block, MergedBlock> merged;
  for (const auto& run : runs) {
    for (const auto& [block, time] : run) {
      MergedBlock& entry = merged[block];
      entry.block = block;
      entry.time_sum += time;
      ++entry.runs_seen;
    }
  }
  std::vector<MergedBlock> blocks;
  blocks.reserve(merged.size());
  for (const auto& [block, entry] : merged) blocks.push_back(entry);
  return blocks;
}

}  // namespace

WorkingSet merge_runs(const std::vector<std::vector<TimedRead>>& runs, Bytes granularity, Bytes image_bytes) {
  WorkingSet set;
  std::vector<std::unordered_map<Block, std::int64_t>> firsts;
  const auto length = [&](Block block) { return std::min(granularity, image_bytes - block * granularity); };
  for (const auto& reads : runs) {
    firsts.push_back(first_accesses(reads, granularity, image_bytes));
    Bytes bytes = 0;
    for (const auto& [block, time] : firsts.back()) bytes += length(block);
    set.run_bytes.push_back(bytes);
  }

  const int run_count = static_cast<int>(runs.size());
  const auto is_minority = [&](int runs_seen) { return 2 * runs_seen < run_count; };
  /// 0 for the majority; the rarer, the greater.
  const auto rarity = [&](int runs_seen) { return is_minority(runs_seen) ? run_count - runs_seen : 0; };
  std::vector<MergedBlock> blocks = merge_blocks(firsts);
  std::ranges::sort(blocks, {},
                    [&](const MergedBlock& b) { return std::tuple(rarity(b.runs_seen), b.mean(), b.block); });

  for (const MergedBlock& merged : blocks) {
    const WorkingExtent next{.offset = merged.block * granularity,
                             .bytes = length(merged.block),
                             .first_access_us = merged.mean(),
                             .runs_seen = merged.runs_seen};
    set.bytes += next.bytes;
    if (is_minority(next.runs_seen)) set.minority_bytes += next.bytes;
    WorkingExtent* last = set.extents.empty() ? nullptr : &set.extents.back();
    if (last != nullptr && last->offset + last->bytes == next.offset &&
        last->first_access_us == next.first_access_us && last->runs_seen == next.runs_seen) {
      last->bytes += next.bytes;
    } else {
      set.extents.push_back(next);
    }
  }
  return set;
}

}  // namespace vmi
