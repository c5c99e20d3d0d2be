// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vmi {

/// Where this rank stands. Nodes are numbered in the order of their lowest ranks, so that rank 0 is on node
/// 0.
struct NodeLayout {
  int rank = 0;
  int ranks = 1;
  int node = 0;
  int nodes = 1;
  int node_ranks = 1;      ///< ranks of this node
  bool leader = false;     ///< lowest rank of its node
  bool one_clock = false;  ///< all ranks run on one kernel, and read the same clock
  std::string hostname;
  std::string node_key;           ///< $VMILAUNCH_NODE_KEY, else Slurm's name of the node, else the host's
  std::vector<int> node_of_rank;  ///< the node of every rank
  std::vector<std::string> node_keys;  ///< of every node, on rank 0; elsewhere empty

  int node_of(int other) const { return node_of_rank[static_cast<std::size_t>(other)]; }
};

/// This node's name among all nodes; see NodeLayout::node_key.
std::string own_node_key();

/// What to add to this node's monotonic_ns() to get rank 0's at the same moment, and the most by which that
/// is wrong. True when measured; clocks then drift apart by some microseconds a second.
struct ClockOffset {
  std::int64_t offset_ns = 0;
  std::int64_t error_ns = 0;
};

}  // namespace vmi
