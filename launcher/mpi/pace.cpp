// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/pace.hpp"

#include <algorithm>

#include <sched.h>

namespace vmi {

void Pace::nap(int wake_fd) {
  using std::chrono::microseconds;
  const auto still = std::chrono::duration_cast<microseconds>(Clock::now() - last_);
  if (still < microseconds(30)) {
    sched_yield();
  } else {
    sleep_for(std::clamp(still / 3, microseconds(30), microseconds(1000)), wake_fd);
  }
}

}  // namespace vmi
