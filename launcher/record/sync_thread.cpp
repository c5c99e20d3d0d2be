// SPDX-License-Identifier: Apache-2.0
#include "launcher/record/sync_thread.hpp"

#include <cerrno>
#include <csignal>
#include <utility>

#include <unistd.h>

namespace vmi {

void SyncThread::request(int fd) {
  const std::lock_guard lock(mutex_);
  fd_ = fd;
  wake_.notify_one();
}

int SyncThread::take_error() {
  const std::lock_guard lock(mutex_);
  return std::exchange(error_, 0);
}

void SyncThread::run(const std::stop_token& stop) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::unique_lock lock(mutex_);
  while (wake_.wait(lock, stop, [this] { return fd_ >= 0; })) {
    const int fd = std::exchange(fd_, -1);
    lock.unlock();
    const int error_number = fdatasync(fd) == 0 ? 0 : errno;
    lock.lock();
    if (error_number != 0) error_ = error_number;
  }
}

}  // namespace vmi
