// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/fd.hpp"

#include <deque>
#include <optional>
#include <string>
#include <utility>

namespace vmi {

/// One end of a SOCK_SEQPACKET pair that carries whole messages. A message may be larger than a packet: each
/// packet starts with one byte that says whether more of the message follows. Nothing here blocks, flush()
/// aside.
class Channel {
 public:
  Channel() = default;
  explicit Channel(Fd socket) : socket_(std::move(socket)) {}
  /// Both ends, close-on-exec.
  static std::pair<Channel, Channel> pair();

  int fd() const { return socket_.get(); }

  /// Queues a message and sends what the socket takes now. False: the peer has gone.
  bool send(const std::string& message);
  /// Sends more of the queue; call it when the socket is writable. False: the peer has gone.
  bool send_queued();
  bool has_queued() const { return !packets_.empty(); }
  /// Waits until the queue is sent. False: the peer has gone, or takes nothing until the deadline.
  bool flush(Deadline deadline);

  enum class Status { message, nothing, closed };
  /// The next whole message, if one is there.
  Status receive(std::string& message);

 private:
  Fd socket_;
  std::deque<std::string> packets_;
  std::string partial_;
};

}  // namespace vmi
