// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/nodes.hpp"

#include "launcher/mpi/agree.hpp"
#include "launcher/mpi/collective.hpp"
#include "launcher/mpi/watchdog.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

namespace vmi {
namespace {

/// Rank 0's numbers, on every rank.
void tell_numbers(const Comm& world, std::vector<int>& numbers, const Waiter& waiter, std::string_view what) {
  std::string bytes(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(int));
  broadcast(world, bytes, 0, waiter, what);
  numbers.resize(bytes.size() / sizeof(int));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
}

}  // namespace

std::string own_node_key() {
  for (const char* name : {"VMILAUNCH_NODE_KEY", "SLURMD_NODENAME"}) {
    if (const char* key = std::getenv(name); key != nullptr && *key != '\0') return key;
  }
  return host_name();
}

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
  for (const std::string& key : gather(world, layout.node_key, 0, waiter, kWhat)) {
    const auto [entry, is_new] = numbers.try_emplace(key, static_cast<int>(layout.node_keys.size()));
    if (is_new) layout.node_keys.push_back(key);
    layout.node_of_rank.push_back(entry->second);
  }
  tell_numbers(world, layout.node_of_rank, waiter, kWhat);
  layout.node = layout.node_of_rank[static_cast<std::size_t>(layout.rank)];
  layout.nodes = *std::ranges::max_element(layout.node_of_rank) + 1;

  layout.node_comm = split(world, layout.node, layout.rank, waiter, kWhat);
  layout.leader = layout.node_comm.rank() == 0;
  layout.leaders = split(world, layout.leader ? 0 : MPI_UNDEFINED, layout.rank, waiter, kWhat);
  return layout;
}

}  // namespace vmi
