// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/nodes.hpp"

#include "launcher/mpi/agree.hpp"
#include "launcher/mpi/collective.hpp"
#include "launcher/mpi/watchdog.hpp"

#include <cstdlib>
#include <map>

namespace vmi {
namespace {

std::string own_node_key() {
  for (const char* name : {"VMILAUNCH_NODE_KEY", "SLURMD_NODENAME"}) {
    if (const char* key = std::getenv(name); key != nullptr && *key != '\0') return key;
  }
  return host_name();
}

}  // namespace

Comm split(const Comm& comm, int color, int key, const Waiter& waiter, std::string_view what) {
  barrier(comm, waiter, what);
  const Watchdog watchdog(waiter.deadline, "MPI_Comm_split (" + std::string(what) + ")",
                          ExitStatus::timed_out);
  MPI_Comm raw = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(comm.get(), color, key, &raw), what);
  return Comm(raw);
}

Comm duplicate(const Comm& comm, const Waiter& waiter, std::string_view what) {
  barrier(comm, waiter, what);
  const Watchdog watchdog(waiter.deadline, "MPI_Comm_dup (" + std::string(what) + ")", ExitStatus::timed_out);
  MPI_Comm raw = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(comm.get(), &raw), what);
  return Comm(raw);
}

NodeLayout group_by_node(const Comm& world, const Waiter& waiter) {
  constexpr std::string_view kWhat = "all ranks to tell their nodes";
  NodeLayout layout;
  layout.rank = world.rank();
  layout.ranks = world.size();
  layout.hostname = host_name();
  layout.node_key = own_node_key();

  std::map<std::string, int> numbers;
  for (const std::string& key : all_gather(world, layout.node_key, waiter, kWhat)) {
    const auto [entry, is_new] = numbers.try_emplace(key, static_cast<int>(layout.node_keys.size()));
    if (is_new) layout.node_keys.push_back(key);
    layout.node_of_rank.push_back(entry->second);
  }
  layout.node = numbers.at(layout.node_key);
  layout.nodes = static_cast<int>(layout.node_keys.size());

  layout.node_comm = split(world, layout.node, layout.rank, waiter, kWhat);
  layout.leader = layout.node_comm.rank() == 0;
  layout.leaders = split(world, layout.leader ? 0 : MPI_UNDEFINED, layout.rank, waiter, kWhat);
  return layout;
}

}  // namespace vmi
