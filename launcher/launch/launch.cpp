// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/launch.hpp"

#include "launcher/desk/desk.hpp"
#include "launcher/desk/summary.hpp"
#include "launcher/launch/job.hpp"
#include "launcher/mpi/clock.hpp"
#include "launcher/mpi/collective.hpp"

#include <algorithm>
#include <ctime>

namespace vmi {
namespace {

using namespace std::chrono_literals;

constexpr auto kSmallStep = 120s;  ///< for steps that take seconds at the most
/// mpirun kills its ranks a second after it told them to stop; what rank 0 waits for then has to be short.
constexpr auto kCalmEnd = 60s;
constexpr auto kHastyEnd = 5s;
constexpr auto kMonth = std::chrono::hours(24 * 30);

}  // namespace

Launch::Launch(Rank& rank, std::string command_line)
    : rank_(rank),
      options_(rank.options()),
      command_line_(std::move(command_line)),
      clock_(LaunchClock::start()),
      job_end_(orderly_end_of_job(std::time(nullptr))) {
}

Launch::~Launch() = default;

int Launch::run() {
  rank_.end_before(job_end_);
  try {
    go();
  } catch (const AgreedError& error) {
    return end(error, error);
  } catch (const Error& error) {
    return end(error, error.in(rank_name(rank_.world())));
  }
  return end(std::nullopt, std::nullopt);
}

void Launch::go() {
  plan();
  bind_to_job();
  look_whether_it_fits();
  if (options_.dry_run) print_dry_run();
  demand_room();
  demand_cpus();
  if (options_.dry_run) return;
  find_caches();
  {
    std::deque<Delivery> deliveries;
    distribute_and_prepare(deliveries);
    start(deliveries);
  }
  note_caches();  // here, since a launch may be killed at its end
  wait_ready();
  if (options_.hold) hold();
  if (options_.command) run_command();
}

void Launch::start(std::deque<Delivery>& deliveries) {
  if (desk_) desk_->phase("start", "starting");
  const ResumeAll resume{.ready_timeout_ms = options_.timeout.count()};
  std::string_view stage = "starting the VMs";
  std::optional<Error> failure = attempt([&] { rank_.call(resume, kSmallStep, "VMs to be resumed"); });
  if (!failure) {
    stage = "keeping the caches";
    failure = attempt([&] {
      for (Delivery& delivery : deliveries) keep(delivery);
    });
  }
  agree(rank_.world(), failure, rank_.waiter(300s), stage);
}

void Launch::wait_ready() {
  if (desk_) desk_->phase("ready", "waiting for " + options_.ready.to_text());
  // The supervisor fails a VM that is late; the minute is for its word to come through.
  const auto longest = options_.timeout + 60s;
  wait_until([&] { return rank_.vms().all_decided(); }, rank_.supervisor_waiter(longest),
             [] { return "VMs to get ready"; });
  barrier(rank_.world(), rank_.waiter(longest), "all ranks' VMs to get ready");
  if (desk_) desk_->end_phase();
}

void Launch::hold() {
  if (desk_) desk_->phase("hold", "holding the VMs until a signal or the end of the job");
  rank_.end_before(std::nullopt);  // here it is the ordinary end
  const Deadline end = job_end_.value_or(Deadline::after(kMonth));
  wait_until([&] { return end.passed(); }, rank_.supervisor_waiter(end.left() + 60s),
             [] { return "the job's end"; });
}

void Launch::run_command() {
  if (desk_) {
    desk_->phase("command", "running " + options_.command->front());
    desk_->progress().finish();
  }
  std::optional<Error> failure;
  if (desk_) {
    failure = attempt([&] {
      const fs::path hosts = node_folder_ / "hosts";
      write_text_atomically(hosts, hosts_text(desk_->fleet(), rank_.layout()));
      rank_.call(RunCommand{*options_.command, {{"VMILAUNCH_HOSTS", hosts.string()}}}, kSmallStep,
                 "the command to start");
      wait_until([&] { return rank_.command_status().has_value(); }, rank_.supervisor_waiter(kMonth),
                 [] { return "the command to end"; });
    });
    // A command that is still there when the launch ends early is told so; the supervisor ends it with the
    // VMs.
    if (failure && !rank_.command_status()) rank_.ask(SignalCommand{});
  }
  agree(rank_.world(), failure, rank_.waiter(kMonth), "running the command");
}

int Launch::end(std::optional<Error> failure, const std::optional<Error>& to_others) {
  if (failure) {
    // Who ended the launch first says why; what this rank saw may be no more than a consequence.
    Control& control = rank_.session().control();
    control.poll();
    if (control.announced()) failure = control.announced();
    control.announce(*to_others);
  }
  rank_.begin_end();
  // First of all, since we may be killed before the record is written.
  const auto note_failure = [&](const std::optional<Error>& error) {
    if (desk_ && error) desk_->failure(*error, "rank 0 on " + rank_.layout().hostname);
  };
  note_failure(failure);
  if (desk_) desk_->phase("stop", "stopping");
  const auto patience = failure ? kHastyEnd : kCalmEnd;
  const std::optional<Error> stop_failure = attempt([&] {
    rank_.call(StopAll{}, patience, "VMs to stop");
    if (keep_node_caches()) note_caches();
    if (node_pool_ && node_pool_->close()) note_caches();
    rank_.post({{"final", true}});
    wait_until([&] { return rank_.all_posted(); }, rank_.waiter(patience),
               [] { return "rank 0 to take the last messages"; });
    if (desk_) {
      wait_until([&] { return desk_->finals() == rank_.layout().ranks; }, rank_.waiter(patience),
                 [] { return "all ranks' last messages"; });
    }
  });
  // When the launch failed, ranks that are gone cannot say their last; that is no second failure.
  if (!failure) note_failure(stop_failure);
  if (stop_failure && !failure && !desk_) log_error(stop_failure->what());

  std::int64_t status = static_cast<std::int64_t>(failure        ? failure->status()
                                                  : stop_failure ? stop_failure->status()
                                                                 : ExitStatus::ok);
  if (!desk_ && rank_.first() && failure) log_error(failure->what());
  if (desk_)
    status = conclude(*desk_, options_, failure ? failure : stop_failure, rank_.command_status(), clock_);
  if (!failure) {
    // Nobody has given up a collective, so that world() still works.
    const std::optional<Error> shared =
        attempt([&] { status = all_max(rank_.world(), status, rank_.waiter(kCalmEnd), "the exit status"); });
    if (shared) log_error(shared->what());
  } else if (options_.command && !desk_) {
    status = static_cast<std::int64_t>(exit_status_with_command(static_cast<ExitStatus>(status)));
  }
  return static_cast<int>(status);
}

}  // namespace vmi
