// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/nodes.hpp"

namespace vmi {

/// Collective over all ranks. Node leaders measure along a binomial tree, so that thousands of nodes take
/// O(log^2 n) exchanges in a row; errors add up along a path, which has at most log2(n) steps.
ClockOffset measure_clock(const RankGroups& layout, const Waiter& waiter);

}  // namespace vmi
