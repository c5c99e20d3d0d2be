// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/working_clusters.hpp"

#include <algorithm>

namespace vmi {
namespace {

/// Where the runs lie in the image, ascending, neighbours merged.
std::vector<ByteRange> ranges_of(const std::vector<OrderRun>& order, Bytes cluster_bytes) {
  std::vector<ByteRange> ranges;
  ranges.reserve(order.size());
  for (const OrderRun& run : order)
    ranges.push_back({run.cluster * cluster_bytes, run.count * cluster_bytes});
  std::ranges::sort(ranges, {}, &ByteRange::offset);
  std::vector<ByteRange> merged;
  for (const ByteRange& range : ranges) {
    if (!merged.empty() && merged.back().end() == range.offset) {
      merged.back().bytes += range.bytes;
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

/// The reads that bring the data of all runs that are not zero, in order; runs that go on in the image share
/// a read.
std::vector<ByteRange> reads_of(const std::vector<OrderRun>& order, Bytes cluster_bytes) {
  const Bytes most = round_down(BaseReader::kMostRange, cluster_bytes);
  std::vector<ByteRange> reads;
  for (const OrderRun& run : order) {
    if (run.zero) continue;
    Bytes at = run.cluster * cluster_bytes;
    const Bytes end = run.end() * cluster_bytes;
    if (!reads.empty() && reads.back().end() == at) {
      const Bytes more = std::min(end - at, most - reads.back().bytes);
      reads.back().bytes += more;
      at += more;
    }
    for (; at < end; at += reads.back().bytes) reads.push_back({at, std::min(most, end - at)});
  }
  return reads;
}

}  // namespace

std::vector<OrderRun> mark_zeros(const std::vector<OrderRun>& order, BaseReader& base, Bytes cluster_bytes) {
  const std::vector<ByteRange> zeros = base.zero_ranges(ranges_of(order, cluster_bytes));
  std::vector<OrderRun> marked;
  for (const OrderRun& run : order) {
    std::uint64_t at = run.cluster;
    const auto put = [&](std::uint64_t end, bool zero) {
      if (end > at) marked.push_back({at, end - at, zero, run.first_access_us});
      at = std::max(at, end);
    };
    auto zero = std::ranges::upper_bound(zeros, run.cluster * cluster_bytes, {}, &ByteRange::offset);
    if (zero != zeros.begin()) --zero;
    for (; zero != zeros.end() && zero->offset < run.end() * cluster_bytes; ++zero) {
      const std::uint64_t begin = std::max(at, round_up(zero->offset, cluster_bytes) / cluster_bytes);
      const std::uint64_t end = std::min(run.end(), zero->end() / cluster_bytes);
      if (begin >= end) continue;
      put(begin, false);
      put(end, true);
    }
    put(run.end(), false);
  }
  return marked;
}

void walk_clusters(const std::vector<OrderRun>& order, BaseReader& base, Bytes cluster_bytes,
                   const EachCluster& each) {
  auto run = order.begin();
  std::uint64_t in_run = 0;  // clusters of `run` that were visited
  bool go_on = true;
  // Visits zero runs until data is due.
  const auto pass_zeros = [&] {
    for (; go_on && run != order.end() && (run->zero || in_run == run->count); ++run, in_run = 0) {
      for (; go_on && in_run < run->count; ++in_run)
        go_on = each(run->cluster + in_run, run->first_access_us, {});
    }
  };
  base.read_all(reads_of(order, cluster_bytes), [&](std::size_t, std::span<const std::byte> bytes) {
    for (; !bytes.empty() && go_on; bytes = bytes.subspan(cluster_bytes)) {
      pass_zeros();
      if (!go_on) break;
      go_on = each(run->cluster + in_run, run->first_access_us, bytes.first(cluster_bytes));
      ++in_run;
    }
    return go_on;
  });
  pass_zeros();
}

}  // namespace vmi
