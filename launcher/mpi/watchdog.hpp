// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/error.hpp"

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace vmi {

/// For the few MPI calls that block and cannot be given up (MPI_Init, MPI_Comm_split, MPI_Finalize): while it
/// lives, the process ends with a message, which gives `advice`, and `status` should `deadline` pass. The
/// supervisor then ends the VMs.
class Watchdog {
 public:
  Watchdog(Deadline deadline, std::string call, ExitStatus status,
           std::string advice = "this process leaves without it");
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  [[maybe_unused]] bool returned_ = false;  // guarded by mutex_; a simulated watchdog does not look at it
  std::thread thread_;
};

}  // namespace vmi
