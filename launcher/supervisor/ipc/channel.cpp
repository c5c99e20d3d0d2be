// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/ipc/channel.hpp"

#include "cachegen/support/error.hpp"
#include "cachegen/support/socket.hpp"

#include <array>

#include <poll.h>
#include <sys/socket.h>

namespace vmi {
namespace {

// Well below the kernel's default send buffer (net.core.wmem_default, 208 KiB), which bounds a packet.
constexpr std::size_t kPacket = 32 * 1024;
constexpr char kMore = '+';
constexpr char kLast = '.';

}  // namespace

std::pair<Channel, Channel> Channel::pair() {
  std::array<int, 2> fds{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()) != 0) {
    throw_errno(ExitStatus::environment, "cannot make a socket pair");
  }
  return {Channel(Fd(fds[0])), Channel(Fd(fds[1]))};
}

bool Channel::send(const std::string& message) {
  std::size_t from = 0;
  do {
    const std::size_t length = std::min(kPacket - 1, message.size() - from);
    const bool last = from + length == message.size();
    packets_.push_back(std::string(1, last ? kLast : kMore) + message.substr(from, length));
    from += length;
  } while (from < message.size());
  return send_queued();
}

bool Channel::send_queued() {
  while (!packets_.empty()) {
    const std::string& packet = packets_.front();
    if (::send(socket_.get(), packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
      packets_.pop_front();
    } else if (errno == EAGAIN || errno == ENOBUFS) {
      return true;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool Channel::flush(Deadline deadline) {
  while (true) {
    if (!send_queued()) return false;
    if (packets_.empty()) return true;
    if (!wait_fd(socket_.get(), POLLOUT, deadline)) return false;
  }
}

Channel::Status Channel::receive(std::string& message) {
  std::array<char, kPacket> packet;  // not filled: a rank asks with each of its polls
  while (true) {
    const ssize_t n = recv(socket_.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return Status::nothing;
    if (n <= 0) return Status::closed;  // 0: orderly; else ECONNRESET and the like: gone all the same
    partial_.append(packet.data() + 1, static_cast<std::size_t>(n - 1));
    if (packet[0] == kMore) continue;
    message = std::exchange(partial_, {});
    return Status::message;
  }
}

}  // namespace vmi
