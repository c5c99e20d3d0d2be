// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/wait.hpp"

namespace vmi {

/// How long to nap between two steps of a transfer: a quarter of the time that lately passed between two
/// moves, so that a slow link costs little processor time (its nodes may share cores with what is being
/// started) and a fast one is not kept waiting. Below what a nap really takes (some 70 us with Linux's
/// default timer slack) it only yields.
class Pace {
 public:
  void moved();
  void nap(int wake_fd);

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_ = Clock::now();
  Clock::duration interval_ = std::chrono::microseconds(200);
};

}  // namespace vmi
