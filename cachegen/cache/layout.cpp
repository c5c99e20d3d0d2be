// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/layout.hpp"

#include "cachegen/cache/qcow2_format.hpp"
#include "cachegen/support/error.hpp"

#include <algorithm>

namespace vmi {

std::vector<std::pair<std::uint64_t, std::uint64_t>> ClusterSet::add(std::uint64_t begin, std::uint64_t end) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> added;
  auto next = runs_.upper_bound(begin);
  if (next != runs_.begin() && std::prev(next)->second >= begin) --next;
  std::uint64_t merged_begin = begin;
  std::uint64_t merged_end = end;
  std::uint64_t at = begin;
  while (next != runs_.end() && next->first <= end) {
    if (next->first > at) added.emplace_back(at, next->first);
    at = std::max(at, next->second);
    merged_begin = std::min(merged_begin, next->first);
    merged_end = std::max(merged_end, next->second);
    next = runs_.erase(next);
  }
  if (at < end) added.emplace_back(at, end);
  if (merged_begin < merged_end) runs_[merged_begin] = merged_end;
  return added;
}

std::vector<OrderRun> clusters_in_order(std::span<const BootExtent> extents, Bytes virtual_bytes,
                                        Bytes cluster_bytes) {
  std::vector<OrderRun> order;
  ClusterSet seen;
  for (const BootExtent& extent : extents) {
    if (extent.offset > virtual_bytes || extent.bytes > virtual_bytes - extent.offset) {
      throw Error(ExitStatus::usage, "an extent of " + std::to_string(extent.bytes) + " bytes at " +
                                         std::to_string(extent.offset) +
                                         " reaches over the end of the image, which has " +
                                         std::to_string(virtual_bytes));
    }
    if (extent.bytes == 0) continue;
    const std::uint64_t begin = extent.offset / cluster_bytes;
    const std::uint64_t end = (extent.offset + extent.bytes - 1) / cluster_bytes + 1;
    for (const auto& [from, to] : seen.add(begin, end))
      order.push_back({from, to - from, false, extent.first_access_us});
  }
  return order;
}

Layout lay_out(const Geometry& geometry, std::uint64_t l2_tables, std::uint64_t data_clusters) {
  const Bytes cluster = geometry.cluster_bytes;
  const std::uint64_t l1_clusters =
      round_up(qcow2::l1_entries(geometry.virtual_bytes, cluster) * 8, cluster) / cluster;
  // Refcount blocks count themselves and the table that lists them: grow both until they are enough.
  std::uint64_t blocks = 1;
  std::uint64_t table_clusters = 1;
  while (true) {
    const std::uint64_t total = 1 + table_clusters + blocks + l1_clusters + l2_tables + data_clusters;
    const std::uint64_t need =
        round_up(total, qcow2::refcounts_per_block(cluster)) / qcow2::refcounts_per_block(cluster);
    const std::uint64_t need_table = round_up(need * 8, cluster) / cluster;
    if (need <= blocks && need_table <= table_clusters) break;
    blocks = std::max(blocks, need);
    table_clusters = std::max(table_clusters, need_table);
  }
  Layout layout;
  layout.refcount_table = cluster;
  layout.refcount_blocks = layout.refcount_table + table_clusters * cluster;
  layout.l1 = layout.refcount_blocks + blocks * cluster;
  layout.l2 = layout.l1 + l1_clusters * cluster;
  layout.data = layout.l2 + l2_tables * cluster;
  layout.trailer = layout.data + data_clusters * cluster;
  return layout;
}

Plan::Plan(const Geometry& geometry, Bytes quota, const BaseIdentity& base, const nlohmann::json& facts)
    : geometry_(geometry), quota_(quota), trailer_(base, facts), layout_(measure(0, 0)) {
  if (quota_ != 0 && layout_.file_bytes > quota_) {
    throw Error(ExitStatus::usage, "a quota of " + format_size(quota_) +
                                       " is too small: the metadata of an empty cache for this image takes " +
                                       std::to_string(layout_.file_bytes) + " bytes with clusters of " +
                                       format_size(geometry_.cluster_bytes) +
                                       "; give a larger quota or larger clusters");
  }
}

Layout Plan::measure(std::uint64_t l2_tables, std::uint64_t data_clusters) const {
  Layout layout = lay_out(geometry_, l2_tables, data_clusters);
  layout.file_bytes = layout.trailer + trailer_.bytes(layout.trailer);
  return layout;
}

bool Plan::add(std::uint64_t cluster, bool zero, std::int64_t first_access_us) {
  const std::uint64_t table = cluster / qcow2::l2_entries(geometry_.cluster_bytes);
  const std::uint64_t tables = l2_.size() + (l2_.contains(table) ? 0 : 1);
  const std::uint64_t data = data_clusters_ + (zero ? 0 : 1);
  const TrailerSize::Mark before = trailer_.mark();
  trailer_.add(cluster, zero, first_access_us);
  const Layout layout = measure(tables, data);
  if (quota_ != 0 && layout.file_bytes > quota_) {
    trailer_.rewind(before);
    return false;
  }
  layout_ = layout;
  l2_.insert(table);
  data_clusters_ = data;
  ++clusters_;
  return true;
}

std::map<std::uint64_t, std::uint64_t> Plan::l2_tables() const {
  std::map<std::uint64_t, std::uint64_t> places;
  for (const std::uint64_t table : l2_) places.emplace_hint(places.end(), table, places.size());
  return places;
}

}  // namespace vmi
