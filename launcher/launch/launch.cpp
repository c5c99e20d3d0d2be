// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/launch.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/desk/summary.hpp"
#include "launcher/launch/bind.hpp"
#include "launcher/launch/dry_run.hpp"
#include "launcher/launch/fit_check.hpp"
#include "launcher/launch/job.hpp"
#include "launcher/launch/prepare.hpp"
#include "launcher/launch/run.hpp"

#include <ctime>

namespace vmi {
namespace {

using namespace std::chrono_literals;

constexpr auto kSmallStep = 120s;  // for steps that take seconds at the most
/// mpirun kills its ranks a second after it told them to stop; what rank 0 waits for then has to be short.
constexpr auto kCalmEnd = 60s;
constexpr auto kHastyEnd = 5s;

}  // namespace

Launch::Launch(Rank& rank, const LaunchOptions& options, MakeReporter make_reporter)
    : rank_(rank),
      options_(options),
      make_reporter_(std::move(make_reporter)),
      clock_(LaunchClock::start()),
      job_end_(orderly_end_of_job(std::time(nullptr))),
      reporter_(rank.first() ? std::make_unique<ErrorsOnly>() : std::make_unique<Reporter>()) {
  rank_.report_to(*reporter_);
}

Launch::~Launch() = default;

int Launch::run() {
  rank_.end_before(job_end_);
  try {
    go();
  } catch (const AgreedError& error) {
    return end(error, error);
  } catch (const Error& error) {
    return end(error, error.in(rank_name(rank_.layout())));
  }
  return end(std::nullopt, std::nullopt);
}

void Launch::go() {
  open_record();
  plan_ = plan_launch(rank_, options_, clock_);
  open_supply();
  // All ranks know what is to be started where, and nothing has been started, profiled or sent.
  const VmCpus cpus = bind_to_job(rank_, *plan_);
  const FitReport fit = look_whether_it_fits(rank_, *plan_, *supply_, *pool_, options_.dry_run);
  if (options_.dry_run && rank_.first()) print_dry_run(rank_, options_, *plan_, *supply_, fit, cpus);
  demand_room(rank_, fit, options_.overcommit);
  demand_cpus(rank_, fit, options_.overcommit);
  if (options_.dry_run) return;
  // It fits.
  find_caches(rank_, *supply_, plan_->images);
  // Rank 0 has what goes to the nodes, compared with its base.
  distribute_and_prepare(rank_, options_, *plan_, *supply_, cpus);
  // Every VM is there, paused, on files whose every byte all ranks agree on.
  start_vms(rank_, options_, *supply_);
  wait_ready(rank_, options_);
  // Every VM is ready, or has failed and may.
  if (options_.hold) hold(rank_, job_end_);
  if (options_.command) run_command(rank_, *options_.command, plan_->node_folder);
}

/// Rank 0 hears of everything from here on, and its supervisor closes the record should this rank not.
void Launch::open_record() {
  std::optional<Error> failure;
  if (rank_.first()) {
    failure = attempt([&] {
      reporter_ = make_reporter_(clock_);
      rank_.report_to(*reporter_);
      reporter_->phase("plan", "planning");
      const fs::path journal = reporter_->journal();
      if (!journal.empty()) rank_.call(KeepRecord{journal.string()}, kSmallStep, "its note of the record");
    });
  }
  rank_.team().agree(failure, kSmallStep, "opening the record");
}

/// How this launch's VMs get at what they read.
void Launch::open_supply() {
  const std::optional<Error> failure = attempt([&] {
    pool_.emplace(options_.node_dir, options_.node_budget);
    supply_ = make_supply({rank_, options_, *plan_, *pool_});
  });
  rank_.team().agree(failure, kSmallStep, "opening the node's pool");
}

void Launch::note_failure(const std::optional<Error>& failure) {
  if (failure) reporter_->failure(*failure, "rank 0 on " + rank_.layout().hostname);
}

int Launch::end(std::optional<Error> failure, const std::optional<Error>& to_others) {
  Team& team = rank_.team();
  if (failure) {
    // Who ended the launch first says why; what this rank saw may be no more than a consequence.
    team.look_for_announcements();
    if (team.announced()) failure = team.announced();
    team.announce(*to_others);
  }
  rank_.begin_end();
  note_failure(failure);
  reporter_->phase("stop", "stopping");
  const auto patience = failure ? kHastyEnd : kCalmEnd;
  const std::optional<Error> stop_failure =
      attempt([&] { stop_vms(rank_, supply_.get(), pool_ ? &*pool_ : nullptr, patience); });
  // When the launch failed, ranks that are gone cannot say their last; that is no second failure.
  if (!failure) note_failure(stop_failure);
  if (stop_failure && !failure && !rank_.first()) log_error(stop_failure->what());

  const std::optional<Error>& reason = failure ? failure : stop_failure;
  std::int64_t status =
      reporter_->conclude({reason, rank_.command_status()}, reason ? reason->status() : ExitStatus::ok);
  if (!failure) {
    // Nobody has given up a collective, so that they still work.
    const std::optional<Error> shared =
        attempt([&] { status = team.max(status, kCalmEnd, "the exit status"); });
    if (shared) log_error(shared->what());
  } else if (options_.command && !rank_.first()) {
    status = static_cast<std::int64_t>(exit_status_with_command(static_cast<ExitStatus>(status)));
  }
  return static_cast<int>(status);
}

}  // namespace vmi
