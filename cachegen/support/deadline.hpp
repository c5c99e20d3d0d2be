// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>

namespace vmi {

/// A point in time until which a wait may last. Every wait of this project takes one.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Deadline(Clock::time_point at) : at_(at) {}
  static Deadline after(Clock::duration duration) { return Deadline(Clock::now() + duration); }

  bool passed() const { return Clock::now() >= at_; }
  Clock::duration left() const { return std::max(Clock::duration::zero(), at_ - Clock::now()); }
  Deadline sooner_of(Deadline other) const { return Deadline(std::min(at_, other.at_)); }

  /// For poll(2): milliseconds left, at most `most`, rounded up so that a waiter does not spin.
  int poll_ms(int most = 60'000) const {
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left()).count();
    return static_cast<int>(std::min<long long>(ms, most));
  }

 private:
  Clock::time_point at_;
};

}  // namespace vmi
