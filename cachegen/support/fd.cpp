// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/fd.hpp"

#include "cachegen/support/error.hpp"

#include <sys/syscall.h>
#include <unistd.h>

namespace vmi {

void Fd::reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

Fd open_pidfd(int pid) {
  const long fd = syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0 && errno != ESRCH)
    throw_errno(ExitStatus::environment, "cannot open a descriptor of process " + std::to_string(pid));
  return Fd(static_cast<int>(fd));
}

void pidfd_kill(const Fd& pidfd, int signal) {
  if (!pidfd) return;
  if (syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) != 0 && errno != ESRCH) {
    throw_errno(ExitStatus::environment, "cannot signal a process");
  }
}

}  // namespace vmi
