// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/file.hpp"

#include <string>

namespace vmi {

/// A question to a guest that an event loop drives: wait until fd() has events() or wake_at() has come, then
/// call step(). No threads, nothing blocks. Nothing a guest does is an error; what it sends is taken with
/// suspicion.
class Probe {
 public:
  virtual ~Probe() = default;
  /// Goes on as far as it can; true once the guest has answered, and from then on.
  virtual bool step() = 0;
  int fd() const { return fd_.get(); }  ///< -1: only wake_at() counts
  short events() const { return events_; }
  Deadline wake_at() const { return wake_at_; }

 protected:
  using Clock = Deadline::Clock;
  Fd fd_;
  short events_ = 0;
  Deadline wake_at_ = Deadline::after(Clock::duration::zero());
};

/// The QEMU guest agent behind a Unix socket (QEMU's docs/interop/qemu-ga-ref): guest-sync with a number of
/// ours, so that answers to others' questions are told apart, then guest-ping. The question waits in the
/// channel until the agent opens it, and is asked again now and then in case the channel was flushed.
class AgentProbe : public Probe {
 public:
  explicit AgentProbe(fs::path socket);
  bool step() override;

 private:
  void ask(const std::string& text);
  void restart();
  bool accept_line(const std::string& line);

  fs::path socket_;
  std::string unfinished_;
  int sync_id_ = 0;
  bool synced_ = false;
  bool answered_ = false;
};

/// The SSH banner behind 127.0.0.1:port. A user-net forward accepts connections long before its guest
/// listens, and a connection that meets a guest without network hangs, so attempts are given up and repeated
/// with growing patience.
class SshProbe : public Probe {
 public:
  explicit SshProbe(int port) : port_(port) {}
  bool step() override;

 private:
  void connect_again();
  void give_up(Clock::duration pause);

  int port_;
  std::string received_;
  Clock::duration patience_ = std::chrono::seconds(1);
  bool answered_ = false;
};

}  // namespace vmi
