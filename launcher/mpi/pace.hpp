// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/wait.hpp"

namespace vmi {

/// How long to nap between two steps of a transfer: a third of the time since something last moved, so that a
/// nap lengthens no gap by more than that, a slow link costs little processor time (its nodes may share cores
/// with what is being started), and a fast one, whose gaps are shorter than any nap, is polled. Nothing is
/// remembered from gap to gap: naps that follow from gaps which naps have lengthened would grow until the
/// window of messages is what limits.
class Pace {
 public:
  void moved() { last_ = Clock::now(); }
  void nap(int wake_fd);

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_ = Clock::now();
};

}  // namespace vmi
