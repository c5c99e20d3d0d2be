// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/nodes.hpp"

#include <cstdint>

namespace vmi {

/// What to add to this node's monotonic_ns() to get rank 0's at the same moment, and the most by which that
/// is wrong. True when measured; clocks then drift apart by some microseconds a second.
struct ClockOffset {
  std::int64_t offset_ns = 0;
  std::int64_t error_ns = 0;
};

/// Collective over all ranks. Node leaders measure along a binomial tree, so that thousands of nodes take
/// O(log^2 n) exchanges in a row; errors add up along a path, which has at most log2(n) steps.
ClockOffset measure_clock(const NodeLayout& layout, const Waiter& waiter);

}  // namespace vmi
