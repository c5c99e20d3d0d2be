// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/base_reader.hpp"
#include "cachegen/cache/trailer.hpp"

#include <functional>
#include <span>
#include <vector>

namespace vmi {

/// Marks what the base's metadata knows to be zero: runs are split so that each is zero throughout or not
/// marked.
std::vector<OrderRun> mark_zeros(const std::vector<OrderRun>& order, BaseReader& base, Bytes cluster_bytes);

/// Called for each cluster in order; `bytes` is empty for a cluster of a run that is marked zero. False ends
/// the walk.
using EachCluster = std::function<bool(std::uint64_t cluster, std::int64_t first_access_us,
                                       std::span<const std::byte> bytes)>;

/// Visits every cluster of `order`; data is read from the base in few large requests.
void walk_clusters(const std::vector<OrderRun>& order, BaseReader& base, Bytes cluster_bytes,
                   const EachCluster& each);

}  // namespace vmi
