// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/launch_options.hpp"
#include "launcher/mpi/agree.hpp"
#include "launcher/mpi/lifeline.hpp"
#include "launcher/mpi/mailbox.hpp"
#include "launcher/mpi/nodes.hpp"
#include "launcher/mpi/session.hpp"
#include "launcher/supervisor/ipc/client.hpp"

#include <chrono>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace vmi {

/// How this rank's VMs do.
struct LocalVms {
  int placed = 0;
  int running = 0;
  int ready = 0;
  int failed = 0;
  bool all_decided() const { return ready + failed >= placed; }
};

/// What every stage of a launch works with on one rank: the MPI session, the supervisor, and one pump that
/// serves both while anything is waited for.
///
/// pump() throws Error when this rank was signalled, when another rank announced the end or is gone, when the
/// job's time is up, when the supervisor is gone, and, without --keep-going, when one of this rank's VMs
/// failed.
class Rank {
 public:
  Rank(const LaunchOptions& options, Session& session, Supervisor& supervisor, const Waiter& start_up);

  const LaunchOptions& options() const { return options_; }
  Session& session() { return session_; }
  const Comm& world() const { return session_.world(); }
  const NodeLayout& layout() const { return layout_; }
  int rank() const { return layout_.rank; }
  bool first() const { return layout_.rank == 0; }
  LocalVms& vms() { return vms_; }
  const std::optional<int>& command_status() const { return command_status_; }
  /// Whether this rank's VM `index` filled a cache and has ended with all of it written.
  bool cache_closed(int index) const { return cache_closed_.contains(index); }

  /// A waiter that pumps, with a deadline from now.
  Waiter waiter(Deadline::Clock::duration duration);
  /// The same, to wait for what only this rank's supervisor says.
  Waiter supervisor_waiter(Deadline::Clock::duration duration);
  void pump();

  /// Sends a request to this rank's supervisor; await() gives its reply, pumping meanwhile.
  std::uint64_t ask(SupervisorRequest request) { return supervisor_.send(std::move(request)); }
  /// Throws the reply's Error, or Error(timed_out) that says what was waited for.
  Reply await(std::uint64_t id, Deadline::Clock::duration duration, const std::string& what);
  Reply call(SupervisorRequest request, Deadline::Clock::duration duration, const std::string& what);

  /// From this time on pump() throws Error(timed_out).
  void end_before(std::optional<Deadline> end) { end_ = end; }

  /// After this, pump() no longer throws for signals, announcements and failed VMs: the launch is ending.
  void begin_end();

  /// Sends a letter to rank 0: a JSON object with a member that names its kind.
  void post(const nlohmann::json& letter) { mailbox_.post(letter.dump()); }
  bool all_posted() { return mailbox_.all_sent(); }

  /// How many letters a pump() takes at the most: while rank 0 sends data, which waits for it, only a few.
  static constexpr int kAllLetters = std::numeric_limits<int>::max();
  void take_letters(int at_once) { letters_at_once_ = at_once; }

  /// On rank 0: takes every rank's letters.
  std::function<void(int rank, const nlohmann::json& letter)> on_letter;
  /// Called by each pump; rank 0 syncs its journal and redraws its progress.
  std::function<void()> on_pump;
  /// Progress of a request of this rank's, for people.
  std::function<void(const Progress&)> on_progress;

 private:
  using Clock = std::chrono::steady_clock;

  void take(const Event& event);
  /// Takes letters and announcements. Each look has MPI poll all its connections, a system call or two; where
  /// there were none, the next comes no sooner than 2 ms later.
  void look_for_messages();
  void check_signals();
  void check_neighbours();

  const LaunchOptions& options_;
  Session& session_;
  Supervisor& supervisor_;
  NodeLayout layout_;
  Mailbox mailbox_;
  Lifeline lifeline_;
  LocalVms vms_;
  std::map<std::uint64_t, Reply> replies_;
  std::optional<int> command_status_;
  std::set<int> cache_closed_;  ///< VM indexes
  std::optional<Error> vm_failure_;
  std::optional<Deadline> end_;
  bool ending_ = false;
  Clock::time_point next_look_{};
  int letters_at_once_ = kAllLetters;
};

}  // namespace vmi
