// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace vmi::supervisor {

/// Threads for calls that block. They live as long as the process: a QEMU started by one with a parent-death
/// signal would end with its thread. So a pool is never destroyed while it works; close() says whether it may
/// be.
class WorkerPool {
 public:
  explicit WorkerPool(int threads);
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  ~WorkerPool();

  /// Runs `work` on some thread, first come first served. It must not throw.
  void submit(std::function<void()> work);

  /// Takes no more work, forgets what has not begun, and waits for what has. False: some still runs at the
  /// deadline, and the process can only end by _exit(2).
  bool close(Deadline deadline);

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;  ///< guarded by mutex_
  int busy_ = 0;                             ///< guarded by mutex_
  bool closed_ = false;                      ///< guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace vmi::supervisor
