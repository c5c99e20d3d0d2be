// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/wait.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace vmi {

// Collectives over byte strings of any length (texts, JSON, arrays of numbers), without a blocking MPI call.
// Every rank of `comm` calls them in the same order. For control data of some MiB; distribute.hpp moves
// files.

/// `bytes` of rank `root` become `bytes` of every rank. `expected`: how many there will be, as far as all
/// ranks know alike; so many take one message, more take one more.
void broadcast(const Comm& comm, std::string& bytes, int root, const Waiter& waiter, std::string_view what,
               std::size_t expected = 0);

/// On `root`: every rank's `mine`, in rank order. Elsewhere: empty.
std::vector<std::string> gather(const Comm& comm, const std::string& mine, int root, const Waiter& waiter,
                                std::string_view what);

/// Every rank's `mine`, in rank order, on every rank, for which all of them need the memory: for few ranks.
/// Costs each rank but the first O(log n) messages.
std::vector<std::string> all_gather(const Comm& comm, const std::string& mine, const Waiter& waiter,
                                    std::string_view what);

/// Every rank's `mine`, a byte each in rank order, on every rank.
std::string all_gather_flags(const Comm& comm, bool mine, const Waiter& waiter, std::string_view what);

/// `mine` of the rank before this one and of the one after it, in a ring of all: two messages each way.
struct Neighbours {
  std::string before, after;
};
Neighbours exchange_in_ring(const Comm& comm, const std::string& mine, const Waiter& waiter,
                            std::string_view what);

std::int64_t all_min(const Comm& comm, std::int64_t mine, const Waiter& waiter, std::string_view what);
std::int64_t all_max(const Comm& comm, std::int64_t mine, const Waiter& waiter, std::string_view what);
std::int64_t all_bits(const Comm& comm, std::int64_t mine, const Waiter& waiter, std::string_view what);
std::int64_t all_sum(const Comm& comm, std::int64_t mine, const Waiter& waiter, std::string_view what);

}  // namespace vmi
