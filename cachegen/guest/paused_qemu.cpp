// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/paused_qemu.hpp"

#include <sys/socket.h>

namespace vmi {

PausedQemu spawn_paused(Argv command, SpawnOptions options) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw_errno(ExitStatus::environment, "cannot make a socket for QEMU's monitor");
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  const Argv words = {"-S", "-chardev", "socket,id=qmp,fd=" + std::to_string(theirs.get()), "-mon",
                      "chardev=qmp,mode=control"};
  command.insert(command.end(), words.begin(), words.end());
  options.keep_fds.push_back(theirs.get());
  return {.child = spawn(command, options), .monitor = std::move(ours)};
}

}  // namespace vmi
