// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/desk/reporter.hpp"
#include "launcher/node/allocation.hpp"
#include "launcher/supervisor/ipc/port.hpp"
#include "launcher/team/team.hpp"

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

/// A request to the supervisor that is under way.
template <typename Request>
struct Pending {
  std::uint64_t id = 0;
};

/// What every stage of a launch works with on one rank: the other ranks, the supervisor, who hears of what
/// happens, and one pump that serves all of them while anything is waited for.
///
/// pump() throws Error when this rank was signalled, when another rank announced the end or is gone, when the
/// job's time is up, when the supervisor is gone, and, unless told to keep going, when one of this rank's VMs
/// failed.
class Rank {
 public:
  using Time = Team::Time;

  /// `host`: where the node's allocation and CPUs are read.
  Rank(Team& team, SupervisorPort& supervisor, bool keep_going, HostView host = HostView::real());
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;
  ~Rank();

  Team& team() { return team_; }
  const NodeLayout& layout() const { return team_.layout(); }
  bool first() const { return team_.first(); }
  const HostView& host() const { return host_; }
  Reporter& reporter() { return *reporter_; }
  /// `reporter` lives longer than the launch.
  void report_to(Reporter& reporter) { reporter_ = &reporter; }

  LocalVms& vms() { return vms_; }
  const std::optional<int>& command_status() const { return command_status_; }
  /// On rank 0: how many ranks have sent their last letter.
  int finals() const { return finals_; }
  /// Whether this rank's VM `index` filled a cache and has ended with all of it written.
  bool cache_closed(int index) const { return cache_closed_.contains(index); }

  void pump();
  /// Until `done()`, which only this rank's supervisor can bring about.
  void wait_for_supervisor(const std::function<bool()>& done, Time time, const std::string& what);

  template <typename Request>
  Pending<Request> ask(Request request) {
    return {supervisor_.send(std::move(request))};
  }
  /// Throws the reply's Error, or Error(timed_out) that says what was waited for.
  template <typename Request>
  typename Request::Result await(Pending<Request> pending, Time time, const std::string& what) {
    return result_of<Request>(reply(pending.id, time, what));
  }
  template <typename Request>
  typename Request::Result call(Request request, Time time, const std::string& what) {
    return await(ask(std::move(request)), time, what);
  }

  /// From this time on pump() throws Error(timed_out).
  void end_before(std::optional<Deadline> end) { end_ = end; }
  /// After this, pump() no longer throws for signals, announcements and failed VMs: the launch is ending.
  void begin_end();

  /// How many letters a pump() takes at the most: while rank 0 sends data, which waits for it, only a few.
  static constexpr int kAllLetters = std::numeric_limits<int>::max();
  void take_letters(int at_once) { letters_at_once_ = at_once; }

 private:
  using Clock = std::chrono::steady_clock;

  Reply reply(std::uint64_t id, Time time, const std::string& what);
  void take(const SupervisorPort::Heard& heard);
  void count(const Event& event);
  /// Takes letters and announcements. Each look has MPI poll all its connections, a system call or two; where
  /// there were none, the next comes no sooner than 2 ms later.
  void look_for_messages();
  void check_signals();
  void check_neighbours();

  Team& team_;
  SupervisorPort& supervisor_;
  bool keep_going_;
  HostView host_;
  Reporter silent_;
  Reporter* reporter_ = &silent_;
  LocalVms vms_;
  std::map<std::uint64_t, Reply> replies_;
  std::optional<int> command_status_;
  int finals_ = 0;
  std::set<int> cache_closed_;  ///< VM indexes
  std::optional<Error> vm_failure_;
  std::optional<Deadline> end_;
  bool ending_ = false;
  Clock::time_point next_look_{};
  int letters_at_once_ = kAllLetters;
};

/// "rank 3 on node7", as messages about one rank begin.
std::string rank_name(const NodeLayout& layout);

}  // namespace vmi
