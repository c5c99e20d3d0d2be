// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/wait.hpp"
#include "launcher/team/layout.hpp"

#include <string>
#include <vector>

namespace vmi {

/// The layout with the communicators of its groups.
struct RankGroups : NodeLayout {
  Comm node_comm;  ///< the ranks of this node; the leader is its rank 0
  Comm leaders;    ///< one rank per node, numbered as the nodes are; null unless leader
};

/// Groups the ranks of `world`, which outlives the result, by node. Collective.
RankGroups group_by_node(const Comm& world, const Waiter& waiter);

/// MPI_Comm_split and MPI_Comm_dup, which have no form that can be given up: entered only once all ranks have
/// arrived, and the process ends with a message should they hang nevertheless.
Comm split(const Comm& comm, int color, int key, const Waiter& waiter, std::string_view what);
Comm duplicate(const Comm& comm, const Waiter& waiter, std::string_view what);

}  // namespace vmi
