// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/pace.hpp"

#include <algorithm>

#include <sched.h>

namespace vmi {

void Pace::moved() {
  const auto now = Clock::now();
  interval_ = (interval_ * 7 + std::min<Clock::duration>(now - last_, std::chrono::milliseconds(50))) / 8;
  last_ = now;
}

void Pace::nap(int wake_fd) {
  using std::chrono::microseconds;
  if (interval_ < microseconds(100) && Clock::now() - last_ < 8 * interval_) {
    sched_yield();
    return;
  }
  const auto length = std::chrono::duration_cast<microseconds>(interval_ / 4);
  sleep_for(std::clamp(length, microseconds(20), microseconds(2000)), wake_fd);
}

}  // namespace vmi
