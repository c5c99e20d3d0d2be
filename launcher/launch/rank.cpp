// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/rank.hpp"

#include "launcher/desk/fleet.hpp"
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

Rank::Rank(const LaunchOptions& options, Session& session, Supervisor& supervisor, const Waiter& start_up)
    : options_(options),
      session_(session),
      supervisor_(supervisor),
      layout_(group_by_node(session.world(), start_up)),
      mailbox_(session.world()),
      lifeline_(session.world(), layout_.node_key, start_up) {
}

void Rank::begin_end() {
  ending_ = true;
  lifeline_.close();
}

Waiter Rank::waiter(Deadline::Clock::duration duration) {
  return {Deadline::after(duration), [this] { pump(); }, supervisor_.fd()};
}

Waiter Rank::supervisor_waiter(Deadline::Clock::duration duration) {
  Waiter result = waiter(duration);
  result.woken = true;
  return result;
}

void Rank::check_signals() {
  const int signal = pending_signal();
  if (signal == 0) return;
  throw Error(
      signal == SIGINT ? ExitStatus::interrupted : ExitStatus::terminated,
      std::string("interrupted by ") + strsignal(signal) + " (signal " + std::to_string(signal) + ")");
}

void Rank::check_neighbours() {
  const std::optional<Lifeline::Lost> lost = lifeline_.lost();
  if (!lost) return;
  throw Error(ExitStatus::environment, "rank " + std::to_string(lost->rank) + " on node " + lost->node +
                                           " is gone: its process was killed, or its node failed");
}

void Rank::take(const Event& event) {
  if (const auto* reply = std::get_if<Reply>(&event)) {
    replies_[reply->id] = *reply;
  } else if (const auto* progress = std::get_if<Progress>(&event)) {
    if (on_progress) on_progress(*progress);
  } else if (const auto* command = std::get_if<CommandExited>(&event)) {
    command_status_ = command->exit_status;
  } else if (const auto* interrupted = std::get_if<Interrupted>(&event)) {
    if (!ending_)
      throw Error(ExitStatus::terminated,
                  "the supervisor was ended by signal " + std::to_string(interrupted->signal));
  } else {
    post({{"event", to_text(event)}});
    if (std::holds_alternative<VmRunning>(event)) ++vms_.running;
    if (std::holds_alternative<VmReady>(event)) ++vms_.ready;
    if (const auto* stopped = std::get_if<VmStopped>(&event); stopped != nullptr && stopped->cache_closed)
      cache_closed_.insert(stopped->index);
    if (const auto* failure = std::get_if<VmFailed>(&event)) {
      ++vms_.failed;
      const Error error(failure->timed_out ? ExitStatus::timed_out : ExitStatus::vm_failed,
                        failure_text(*failure, layout_.hostname));
      if (options_.keep_going) {
        log_warning(error.what());
      } else if (!vm_failure_) {
        vm_failure_ = error;
      }
    }
  }
}

void Rank::look_for_messages() {
  constexpr auto kPause = 2ms;
  const auto now = Clock::now();
  if (now < next_look_) return;
  bool any = false;
  for (int taken = 0; taken < letters_at_once_; ++taken) {
    const std::optional<Mailbox::Letter> letter = mailbox_.poll();
    if (!letter) break;
    any = true;
    if (on_letter) on_letter(letter->rank, nlohmann::json::parse(letter->text));
  }
  if (!ending_) session_.control().poll();
  if (!any) next_look_ = now + kPause;
}

void Rank::pump() {
  while (const std::optional<Event> event = supervisor_.receive()) take(*event);
  look_for_messages();
  if (on_pump) on_pump();
  if (ending_) return;
  check_signals();
  // Again and again: a stage may have kept the first throw to agree on it, with ranks that have left.
  if (const auto& announced = session_.control().announced()) throw *announced;
  if (vm_failure_) throw *vm_failure_;
  check_neighbours();
  if (end_ && end_->passed()) {
    throw Error(
        ExitStatus::timed_out,
        "the job's time limit is near (SLURM_JOB_END_TIME); the launch ends in order before it; give the "
        "job more time (--time)");
  }
}

Reply Rank::await(std::uint64_t id, Deadline::Clock::duration duration, const std::string& what) {
  wait_until([&] { return replies_.contains(id); }, supervisor_waiter(duration),
             [&] { return "the supervisor: " + what; });
  const Reply reply = replies_.extract(id).mapped();
  return reply.checked();
}

Reply Rank::call(SupervisorRequest request, Deadline::Clock::duration duration, const std::string& what) {
  return await(ask(std::move(request)), duration, what);
}

}  // namespace vmi
