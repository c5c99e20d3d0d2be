// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/rank.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/desk/fleet.hpp"
#include "launcher/launch/letter.hpp"
#include "launcher/launch/signals.hpp"

#include <csignal>
#include <cstring>

namespace vmi {

using namespace std::chrono_literals;

namespace {

std::string failure_text(const VmFailed& failure, const std::string& hostname) {
  return "VM " + std::to_string(failure.index) + " on " + hostname + ": " + whole_text(failure);
}

}  // namespace

std::string rank_name(const NodeLayout& layout) {
  return "rank " + std::to_string(layout.rank) + " on " + layout.hostname;
}

Rank::Rank(Team& team, SupervisorPort& supervisor, bool keep_going, HostView host)
    : team_(team), supervisor_(supervisor), keep_going_(keep_going), host_(std::move(host)) {
  team_.while_waiting([this] { pump(); }, supervisor_.fd());
}

Rank::~Rank() {
  team_.while_waiting({}, -1);
}

void Rank::begin_end() {
  ending_ = true;
  team_.leave();
}

void Rank::wait_for_supervisor(const std::function<bool()>& done, Time time, const std::string& what) {
  team_.wait_until_woken(done, time, [&] { return what; });
}

void Rank::check_signals() {
  const int signal = pending_signal();
  if (signal == 0) return;
  throw Error(
      signal == SIGINT ? ExitStatus::interrupted : ExitStatus::terminated,
      std::string("interrupted by ") + strsignal(signal) + " (signal " + std::to_string(signal) + ")");
}

void Rank::check_neighbours() {
  const std::optional<Team::Lost> lost = team_.lost();
  if (!lost) return;
  throw Error(ExitStatus::environment, "rank " + std::to_string(lost->rank) + " on node " + lost->node +
                                           " is gone: its process was killed, or its node failed");
}

void Rank::take(const SupervisorPort::Heard& heard) {
  const Event& event = heard.event;
  if (const auto* reply = std::get_if<Reply>(&event)) {
    replies_[reply->id] = *reply;
  } else if (const auto* progress = std::get_if<Progress>(&event)) {
    reporter().progress(progress->text, progress->fraction);
  } else if (const auto* command = std::get_if<CommandExited>(&event)) {
    command_status_ = command->exit_status;
  } else if (const auto* interrupted = std::get_if<Interrupted>(&event)) {
    if (!ending_)
      throw Error(ExitStatus::terminated,
                  "the supervisor was ended by signal " + std::to_string(interrupted->signal));
  } else {
    team_.post(event_letter(heard.text));
    count(event);
  }
}

void Rank::count(const Event& event) {
  if (std::holds_alternative<VmRunning>(event)) ++vms_.running;
  if (std::holds_alternative<VmReady>(event)) ++vms_.ready;
  if (const auto* stopped = std::get_if<VmStopped>(&event); stopped != nullptr && stopped->cache_closed)
    cache_closed_.insert(stopped->index);
  if (const auto* failure = std::get_if<VmFailed>(&event)) {
    ++vms_.failed;
    const Error error(failure->timed_out ? ExitStatus::timed_out : ExitStatus::vm_failed,
                      failure_text(*failure, layout().hostname));
    if (keep_going_) {
      log_warning(error.what());
    } else if (!vm_failure_) {
      vm_failure_ = error;
    }
  }
}

void Rank::look_for_messages() {
  constexpr auto kPause = 2ms;
  const auto now = Clock::now();
  if (now < next_look_) return;
  bool any = false;
  for (int taken = 0; taken < letters_at_once_; ++taken) {
    const std::optional<Team::Letter> letter = team_.next_letter();
    if (!letter) break;
    any = true;
    if (is_last_letter(letter->text)) {
      ++finals_;
    } else {
      reporter().take(letter->rank, letter->text);
    }
  }
  if (!ending_) team_.look_for_announcements();
  if (!any) next_look_ = now + kPause;
}

void Rank::pump() {
  while (const std::optional<SupervisorPort::Heard> heard = supervisor_.receive()) take(*heard);
  look_for_messages();
  reporter().tick();
  if (ending_) return;
  check_signals();
  // Again and again: a stage may have kept the first throw to agree on it, with ranks that have left.
  if (const auto& announced = team_.announced()) throw *announced;
  if (vm_failure_) throw *vm_failure_;
  check_neighbours();
  if (end_ && end_->passed()) {
    throw Error(
        ExitStatus::timed_out,
        "the job's time limit is near (SLURM_JOB_END_TIME); the launch ends in order before it; give the "
        "job more time (--time)");
  }
}

Reply Rank::reply(std::uint64_t id, Time time, const std::string& what) {
  wait_for_supervisor([&] { return replies_.contains(id); }, time, "the supervisor: " + what);
  return replies_.extract(id).mapped();
}

}  // namespace vmi
