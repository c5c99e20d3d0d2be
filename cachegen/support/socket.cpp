// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/socket.hpp"

#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace vmi {

void check_socket_path(const fs::path& path) {
  if (path.native().size() > kMaxSocketPath) {
    throw Error(ExitStatus::environment, "socket path '" + path.string() + "' has " +
                                             std::to_string(path.native().size()) +
                                             " characters and may have " + std::to_string(kMaxSocketPath) +
                                             "; set TMPDIR or --node-dir to a shorter folder");
  }
}

Fd connect_unix(const fs::path& path, Deadline deadline, const Fd* owner) {
  check_socket_path(path);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  while (true) {
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) throw_errno(ExitStatus::environment, "cannot make a socket");
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    const int error_number = errno;
    if (error_number != ENOENT && error_number != ECONNREFUSED && error_number != EAGAIN) {
      throw_errno(ExitStatus::environment, "cannot connect to '" + path.string() + "'", error_number);
    }
    if (owner != nullptr && wait_fd(owner->get(), POLLIN, Deadline::after(std::chrono::seconds(0)))) {
      throw Error(ExitStatus::environment,
                  "the process that was to listen on '" + path.string() + "' has ended");
    }
    if (deadline.passed())
      throw Error(ExitStatus::timed_out, "nobody listened on '" + path.string() + "' in time");
    // Nothing announces that a peer has begun to listen; 2 ms is far below what its start takes.
    poll(nullptr, 0, 2);
  }
}

bool wait_fd(int fd, short events, Deadline deadline) {
  while (true) {
    pollfd item{fd, events, 0};
    const int n = poll(&item, 1, deadline.poll_ms());
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) throw_errno(ExitStatus::environment, "poll");
    if (deadline.passed()) return false;
  }
}

void write_all(const Fd& fd, std::string_view text, Deadline deadline, std::string_view peer) {
  while (!text.empty()) {
    const ssize_t n = send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      if (!wait_fd(fd.get(), POLLOUT, deadline))
        throw Error(ExitStatus::timed_out, std::string(peer) + " took no data in time");
    } else if (errno != EINTR) {
      throw_errno(ExitStatus::environment, "cannot send to " + std::string(peer));
    }
  }
}

}  // namespace vmi
