// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/wait.hpp"

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
  bool leader = false;     ///< lowest rank of its node
  bool one_clock = false;  ///< all ranks run on one kernel, and read the same clock
  Comm node_comm;          ///< the ranks of this node; the leader is its rank 0
  Comm leaders;            ///< one rank per node, numbered as the nodes are; null unless leader
  std::string hostname;
  std::string node_key;           ///< $VMILAUNCH_NODE_KEY, else Slurm's name of the node, else the host's
  std::vector<int> node_of_rank;  ///< the node of every rank
  std::vector<std::string> node_keys;  ///< of every node, on rank 0; elsewhere empty
};

/// This node's name among all nodes; see NodeLayout::node_key.
std::string own_node_key();

/// Groups the ranks of `world`, which outlives the result, by node. Collective.
NodeLayout group_by_node(const Comm& world, const Waiter& waiter);

/// MPI_Comm_split and MPI_Comm_dup, which have no form that can be given up: entered only once all ranks have
/// arrived, and the process ends with a message should they hang nevertheless.
Comm split(const Comm& comm, int color, int key, const Waiter& waiter, std::string_view what);
Comm duplicate(const Comm& comm, const Waiter& waiter, std::string_view what);

}  // namespace vmi
