// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

namespace vmi {

/// Runs fdatasync(2) on one file without making its caller wait, because a busy or remote disk may take
/// seconds. The thread blocks every signal and calls nothing else.
class SyncThread {
 public:
  SyncThread() : thread_([this](const std::stop_token& stop) { run(stop); }) {}

  /// Asks for a sync of `fd`, which must stay open for this object's life. One that runs already is followed
  /// by another.
  void request(int fd);
  /// errno of the last sync that failed since the last call; 0: none.
  int take_error();

 private:
  void run(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any wake_;
  int fd_ = -1;  ///< to sync next; -1: nothing is asked for
  int error_ = 0;
  std::jthread thread_;  ///< last: it uses the others
};

}  // namespace vmi
