// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

namespace vmi {

/// Owns one file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

/// Descriptor that becomes readable when process `pid` ends (pidfd_open(2)); empty when there is no such
/// process.
Fd open_pidfd(int pid);

/// Sends `signal` to the process behind `pidfd`; a process that has ended already is no error.
void pidfd_kill(const Fd& pidfd, int signal);

}  // namespace vmi
