// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/file.hpp"

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace vmi {

/// One QMP connection (QEMU's docs/interop/qmp-spec.txt). Commands may be sent ahead of the replies to
/// earlier ones, so that many VMs work on theirs at once. A command that QEMU refuses is Error(environment)
/// with the command and QEMU's reason; so is a connection that QEMU closed. A reply that does not come in
/// time is Error(timed_out).
class Qmp {
 public:
  /// Called now and then during every wait; may throw to end it.
  using Check = std::function<void()>;

  /// Reads the greeting from the connected socket `monitor` and negotiates.
  Qmp(Fd monitor, Deadline deadline, Check check = {});

  /// Sends a command and waits for what it returns. Null arguments: none.
  nlohmann::json execute(const std::string& command, const nlohmann::json& arguments, Deadline deadline);
  nlohmann::json execute(const std::string& command, Deadline deadline) {
    return execute(command, {}, deadline);
  }
  /// A command of the human monitor; returns what it prints there.
  std::string human_monitor(const std::string& command_line, Deadline deadline);

  /// The two halves of execute().
  std::uint64_t send(const std::string& command, const nlohmann::json& arguments, Deadline deadline);
  nlohmann::json receive(std::uint64_t id, Deadline deadline);

  /// The next event that has arrived ({"event":..,"timestamp":..,"data":..}), without waiting; nothing when
  /// there is none. Never throws because QEMU has gone: closed() says so.
  std::optional<nlohmann::json> poll_event();
  bool closed() const { return closed_; }
  /// Readable when something may have arrived.
  int fd() const { return fd_.get(); }

 private:
  void read_available();
  void accept_line(const std::string& line);
  void wait_until(const std::function<bool()>& arrived, const std::string& what, Deadline deadline);

  Check check_;
  Fd fd_;
  std::string unfinished_;  ///< the start of a line whose end has not come yet
  bool closed_ = false;
  bool greeted_ = false;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, std::string> waiting_;  ///< commands without a reply yet, by id
  std::map<std::uint64_t, nlohmann::json> replies_;
  std::deque<nlohmann::json> events_;
};

}  // namespace vmi
