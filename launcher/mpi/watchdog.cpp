// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/watchdog.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/mpi/worker.hpp"

#include <unistd.h>

namespace vmi {

Watchdog::Watchdog(Deadline deadline, std::string call, ExitStatus status, std::string advice) {
  thread_ = start_worker([this, deadline, call = std::move(call), status, advice = std::move(advice)] {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, deadline.left(), [this] { return returned_; })) return;
    log_error(call + " did not return in time; " + advice);
    _exit(static_cast<int>(status));
  });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    returned_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

}  // namespace vmi
