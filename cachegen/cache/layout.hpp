// SPDX-License-Identifier: Apache-2.0
// Where everything lies in a boot cache, decided before a byte is written.
#pragma once

#include "cachegen/cache/extent.hpp"
#include "cachegen/cache/trailer.hpp"

#include <map>
#include <set>
#include <span>
#include <vector>

namespace vmi {

/// Clusters that were seen, as disjoint runs.
class ClusterSet {
 public:
  /// Adds [begin, end) and returns the parts of it that were not there yet, ascending.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> add(std::uint64_t begin, std::uint64_t end);

 private:
  std::map<std::uint64_t, std::uint64_t> runs_;  ///< begin -> end
};

/// The working set in whole clusters, in boot order, every cluster once; `zero` is false throughout.
/// Throws Error(usage) for an extent outside the image.
std::vector<OrderRun> clusters_in_order(std::span<const BootExtent> extents, Bytes virtual_bytes,
                                        Bytes cluster_bytes);

/// Offsets of the parts of the file, in the order in which they lie there. All but the trailer's end are
/// multiples of the cluster size.
struct Layout {
  Bytes refcount_table = 0;
  Bytes refcount_blocks = 0;
  Bytes l1 = 0;
  Bytes l2 = 0;
  Bytes data = 0;
  Bytes trailer = 0;  ///< end of the data clusters
  Bytes file_bytes = 0;
};

struct Geometry {
  Bytes virtual_bytes = 0;
  Bytes cluster_bytes = 0;
};

/// Where the parts of a qcow2 with so many L2 tables and data clusters lie; `file_bytes` stays 0.
Layout lay_out(const Geometry& geometry, std::uint64_t l2_tables, std::uint64_t data_clusters);

/// The longest prefix of a working set that fits a quota, and its layout.
class Plan {
 public:
  /// The empty cache. Throws Error(usage) when even that is larger than `quota` (0: none).
  Plan(const Geometry& geometry, Bytes quota, const BaseIdentity& base, const nlohmann::json& facts);

  /// Adds one cluster when it fits; false, and nothing changed, when it does not.
  bool add(std::uint64_t cluster, bool zero, std::int64_t first_access_us);

  const Layout& layout() const { return layout_; }
  const std::vector<OrderRun>& order() const { return trailer_.order(); }
  /// The L2 tables that there are, by their place in L1, each with its place among the tables.
  std::map<std::uint64_t, std::uint64_t> l2_tables() const;
  std::uint64_t clusters() const { return clusters_; }

 private:
  Layout measure(std::uint64_t l2_tables, std::uint64_t data_clusters) const;

  Geometry geometry_;
  Bytes quota_;
  TrailerSize trailer_;
  std::set<std::uint64_t> l2_;
  std::uint64_t data_clusters_ = 0;
  std::uint64_t clusters_ = 0;
  Layout layout_;
};

}  // namespace vmi
