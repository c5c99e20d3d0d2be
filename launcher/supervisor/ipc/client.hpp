// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/log.hpp"
#include "cachegen/support/process.hpp"
#include "launcher/supervisor/ipc/channel.hpp"
#include "launcher/supervisor/ipc/port.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

namespace vmi {

struct SupervisorOptions {
  LogLevel log_threshold = LogLevel::warning;
  std::string runtime_root;  ///< where the runtime folder goes; empty: choose (runtime_dir.hpp)
};

/// The rank's end of its supervisor.
///
///     int main(int argc, char** argv) {
///       if (auto status = run_as_supervisor(argc, argv)) return *status;   // first thing in main
///       Supervisor supervisor = Supervisor::start({});                     // before MPI_Init
///       MPI_Init(...);
///
/// Whatever ends this object or its process ends the VMs too. One thread.
class Supervisor final : public SupervisorPort {
 public:
  /// Forks and executes this very program again (/proc/self/exe) as the supervisor. Call before MPI_Init.
  static Supervisor start(const SupervisorOptions& options);

  Supervisor(Supervisor&&) noexcept = default;
  Supervisor& operator=(Supervisor&&) noexcept = default;
  ~Supervisor() override;

  int fd() const override { return channel_.fd(); }
  int pid() const { return child_.pid(); }

  std::uint64_t send(SupervisorRequest request) override;

  /// LogLine events are logged here and not returned. When the supervisor has ended, what it left has been
  /// cleaned up.
  std::optional<Heard> receive() override;

  /// The event of receive(), waiting until the deadline.
  std::optional<Event> wait(Deadline deadline);

  /// Sends a request and waits for its reply. Other events go to `on_event` (a dropped event is lost).
  /// `pump`, when given, is called at least every 20 ms (drive MPI there; it may throw). Throws
  /// Error(timed_out) naming the request, and the Reply's own Error when it is not ok.
  Reply call(SupervisorRequest request, Deadline deadline,
             const std::function<void(const Event&)>& on_event = {}, const std::function<void()>& pump = {});

  /// Ends the VMs and the supervisor, and waits for that; SIGKILL at the deadline, then cleans up what it
  /// left. Idempotent.
  void shutdown(Deadline deadline);

 private:
  Supervisor(Channel channel, Child child, std::string runtime_root);
  [[noreturn]] void lost();

  Channel channel_;
  Child child_;
  std::string runtime_root_;
  std::uint64_t next_id_ = 1;
};

/// When this process was started as a supervisor: runs it to its end and returns its exit status. Else
/// nothing.
std::optional<int> run_as_supervisor(int argc, char** argv);

}  // namespace vmi
