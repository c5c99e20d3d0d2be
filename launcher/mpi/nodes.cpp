// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/nodes.hpp"

#include "cachegen/support/file.hpp"
#include "launcher/mpi/agree.hpp"
#include "launcher/mpi/collective.hpp"
#include "launcher/mpi/watchdog.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#include <fcntl.h>
#include <unistd.h>

namespace vmi {
namespace {

/// Rank 0's numbers, on every rank.
void tell_numbers(const Comm& world, std::vector<int>& numbers, const Waiter& waiter, std::string_view what) {
  std::string bytes(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(int));
  broadcast(world, bytes, 0, waiter, what);
  numbers.resize(bytes.size() / sizeof(int));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
}

/// What this rank's CLOCK_MONOTONIC is: the kernel's since its boot, but for time namespaces. Empty where
/// that cannot be told.
std::string own_clock() {
  std::error_code error;
  const fs::path space = fs::read_symlink("/proc/self/ns/time", error);
  const Fd boot(open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char id[37] = {};
  if (error || !boot || read(boot.get(), id, 36) != 36) return {};
  return id + space.string();
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

RankGroups group_by_node(const Comm& world, const Waiter& waiter) {
  constexpr std::string_view kWhat = "all ranks to tell their nodes";
  RankGroups layout;
  layout.rank = world.rank();
  layout.ranks = world.size();
  layout.hostname = host_name();
  layout.node_key = own_node_key();

  std::map<std::string, int> numbers;
  const std::string clock = own_clock();
  bool one_clock = !clock.empty();
  for (const std::string& told : gather(world, clock + "\n" + layout.node_key, 0, waiter, kWhat)) {
    const std::size_t end = told.find('\n');
    one_clock = one_clock && told.substr(0, end) == clock;
    const std::string key = told.substr(end + 1);
    const auto [entry, is_new] = numbers.try_emplace(key, static_cast<int>(layout.node_keys.size()));
    if (is_new) layout.node_keys.push_back(key);
    layout.node_of_rank.push_back(entry->second);
  }
  layout.node_of_rank.push_back(one_clock ? 1 : 0);
  tell_numbers(world, layout.node_of_rank, waiter, kWhat);
  layout.one_clock = layout.node_of_rank.back() == 1;
  layout.node_of_rank.pop_back();
  layout.node = layout.node_of_rank[static_cast<std::size_t>(layout.rank)];
  layout.nodes = *std::ranges::max_element(layout.node_of_rank) + 1;

  if (layout.nodes == layout.ranks) {
    layout.node_comm = Comm::borrowed(MPI_COMM_SELF);
    layout.leader = true;
    layout.leaders = Comm::borrowed(world.get());
    return layout;
  }
  layout.node_comm = split(world, layout.node, layout.rank, waiter, kWhat);
  layout.leader = layout.node_comm.rank() == 0;
  layout.node_ranks = layout.node_comm.size();
  layout.leaders = split(world, layout.leader ? 0 : MPI_UNDEFINED, layout.rank, waiter, kWhat);
  return layout;
}

}  // namespace vmi
