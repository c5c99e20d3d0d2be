// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include <mpi.h>

namespace vmi {

/// Lets a rank's simulated time pass until one of its MPI operations is complete, or for `seconds` when it
/// has none.
///
/// The product polls: it tests, naps, and tests again. Simulating each poll of thousands of ranks would take
/// days, so that here a wait lasts until the event, and then as much longer as the product's naps are late on
/// average (launcher/mpi/pace.hpp: a third of the time since something moved, 1 ms at the most; wait.hpp for
/// collectives).
void nap(double seconds);

/// Descriptors from this number on are alarms: a nap on one ends when its time (simulated seconds; -1: none)
/// has come.
inline constexpr int kFirstAlarm = 1'000'000;
extern std::vector<double> g_alarms;

/// Lets a rank's simulated time pass.
void pause(double seconds);

/// Prepares for that many ranks.
void prepare_seam(int ranks);

/// A communicator as one rank sees it; the members are one list for all of its ranks.
struct Group {
  std::shared_ptr<const std::vector<int>> members;  ///< their numbers among all ranks
  int rank = 0;
  int context = 0;  ///< whose messages are its own
  mutable int splits = 0;

  int size() const { return static_cast<int>(members->size()); }
};

const Group& group_of(MPI_Comm comm);

// What the collectives (seam_collectives.cpp) are made of. `peer` is a rank of the group.

/// Goes at once; the bytes are copied.
void send(const Group& group, const void* memory, std::size_t bytes, int peer);
void receive(const Group& group, void* memory, std::size_t bytes, int peer);

}  // namespace vmi
