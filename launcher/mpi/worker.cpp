// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/worker.hpp"

#include <signal.h>

namespace vmi {

std::thread start_worker(std::function<void()> work) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // inherited by the new thread
  std::thread thread(std::move(work));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace vmi
