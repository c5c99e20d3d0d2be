// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/units.hpp"
#include "launcher/mpi/wait.hpp"

namespace vmi {

/// How long to nap between two steps of a transfer: what each of the last eight pieces or more took, at most
/// 10 ms; a quarter of that where a piece takes less than 5 ms. With a window of four pieces a link is left
/// without work only when a nap comes late by more than a piece's time, so naps do not slow what they are
/// measured by, and are short again soon after a stall; a slow link costs little processor time (its nodes
/// may share cores with what is being started), and a fast one is polled. Where nothing moves, naps grow to a
/// third of the time since something did, at most 1 ms or what they were.
class Pace {
 public:
  /// `piece`: bytes of one message.
  explicit Pace(Bytes piece) : piece_(piece) {}

  /// Something moved; `total`: bytes of the transfer that passed here so far.
  void moved(Bytes total);
  void nap(int wake_fd);

 private:
  using Clock = std::chrono::steady_clock;
  Bytes piece_;
  Bytes counted_ = 0;  // at counted_at_
  Clock::time_point counted_at_ = Clock::now();
  Clock::time_point last_ = counted_at_;
  std::chrono::microseconds nap_{0};
};

}  // namespace vmi
