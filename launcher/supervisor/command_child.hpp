// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/process.hpp"
#include "launcher/supervisor/event_loop.hpp"
#include "launcher/supervisor/ipc/protocol.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>

namespace vmi::supervisor {

using Variables = std::map<std::string, std::optional<std::string>>;

/// The user's command, in a session and process group of its own.
class CommandChild {
 public:
  /// `original`: variables that this process changed for itself, as they were; nothing: unset.
  CommandChild(EventLoop& loop, Variables original) : loop_(loop), original_(std::move(original)) {}

  /// Throws Error(usage) for an empty command, Error(environment) when one runs already or it cannot be
  /// started. `on_exit` gets its exit status, as a shell shows it.
  void start(const RunCommand& request, std::function<void(int)> on_exit);
  bool running() const { return child_.running(); }
  /// To its whole group; nothing when it does not run.
  void signal(int number) const;

 private:
  void ended(const std::function<void(int)>& on_exit);

  EventLoop& loop_;
  Variables original_;
  Child child_;
  EventLoop::Handle exit_watch_;
};

}  // namespace vmi::supervisor
