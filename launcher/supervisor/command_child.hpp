// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/process.hpp"
#include "launcher/supervisor/event_loop.hpp"
#include "launcher/supervisor/protocol.hpp"

#include <functional>
#include <optional>

namespace vmi::supervisor {

/// The user's command, in a session and process group of its own.
class CommandChild {
 public:
  explicit CommandChild(EventLoop& loop) : loop_(loop) {}

  /// Throws Error(usage) for an empty command, Error(environment) when one runs already or it cannot be
  /// started. `on_exit` gets its exit status, as a shell shows it.
  void start(const RunCommand& request, std::function<void(int)> on_exit);
  bool running() const { return child_.running(); }
  /// To its whole group; nothing when it does not run.
  void signal(int number) const;

 private:
  void ended(const std::function<void(int)>& on_exit);

  EventLoop& loop_;
  Child child_;
  EventLoop::Handle exit_watch_;
};

}  // namespace vmi::supervisor
