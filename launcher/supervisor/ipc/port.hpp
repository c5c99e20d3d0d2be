// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supervisor/ipc/protocol.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace vmi {

/// A rank's supervisor, as a launch sees it: a process (Supervisor), or a test's.
class SupervisorPort {
 public:
  virtual ~SupervisorPort() = default;

  /// Readable when receive() has something to say; for poll(2).
  virtual int fd() const = 0;
  /// Sends a request and returns its id, which the Reply carries. Never blocks.
  virtual std::uint64_t send(SupervisorRequest request) = 0;

  struct Heard {
    Event event;
    std::string text;  ///< the event as it came
  };
  /// The next event, if one is there; never blocks. Throws Error(environment) when the supervisor has ended.
  virtual std::optional<Heard> receive() = 0;
};

}  // namespace vmi
