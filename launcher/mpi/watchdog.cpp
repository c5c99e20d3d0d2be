// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/watchdog.hpp"

#include "cachegen/support/log.hpp"

#include <signal.h>
#include <unistd.h>

namespace vmi {

Watchdog::Watchdog(Deadline deadline, std::string call, ExitStatus status) {
  // Signals stay with the thread that handles them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this, deadline, call = std::move(call), status] {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, deadline.left(), [this] { return returned_; })) return;
    log_error(call + " did not return in time; this process leaves without it");
    _exit(static_cast<int>(status));
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
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
