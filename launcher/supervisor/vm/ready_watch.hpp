// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/guest/probe.hpp"
#include "cachegen/guest/ready.hpp"
#include "launcher/supervisor/event_loop.hpp"
#include "launcher/supervisor/vm/file_watch.hpp"

#include <functional>
#include <memory>
#include <string>

namespace vmi::supervisor {

/// Waits in the loop for one guest's readiness. `exit` and `none` are its owner's to see.
class ReadyWatch {
 public:
  struct Channels {
    fs::path serial_log;
    fs::path agent_socket;
    int ssh_port = 0;
  };
  /// Calls `on_ready` at most once, from the loop.
  ReadyWatch(EventLoop& loop, FileWatch& files, const ReadySpec& spec, const Channels& channels,
             std::function<void()> on_ready);

  /// Looks at the serial log now: what a guest wrote just before its end is there before anybody was told.
  void look();

 private:
  void step_probe();
  void fire();

  EventLoop& loop_;
  std::function<void()> on_ready_;
  std::unique_ptr<SerialWatch> serial_;
  FileWatch::Handle serial_changes_;
  std::unique_ptr<Probe> probe_;
  EventLoop::Handle probe_fd_;
  EventLoop::Handle probe_timer_;
};

}  // namespace vmi::supervisor
