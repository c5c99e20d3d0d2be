// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/run.hpp"

#include "launcher/launch/letter.hpp"

namespace vmi {
namespace {

using namespace std::chrono_literals;
constexpr auto kSmallStep = 120s;
constexpr auto kMonth = std::chrono::hours(24 * 30);

}  // namespace

void start_vms(Rank& rank, const LaunchOptions& options, CacheSupply& supply) {
  rank.reporter().phase("start", "starting");
  const ResumeAll resume{.ready_timeout_ms = options.timeout.count()};
  std::string_view stage = "starting the VMs";
  std::optional<Error> failure = attempt([&] { rank.call(resume, kSmallStep, "VMs to be resumed"); });
  if (!failure) {
    stage = "keeping the caches";
    failure = attempt([&] { supply.keep(); });
  }
  rank.team().agree(failure, 300s, stage);
  supply.note();  // here, since a launch may be killed at its end
}

void wait_ready(Rank& rank, const LaunchOptions& options) {
  rank.reporter().phase("ready", "waiting for " + options.ready.to_text());
  // The supervisor fails a VM that is late; the minute is for its word to come through.
  const auto longest = options.timeout + 60s;
  rank.wait_for_supervisor([&] { return rank.vms().all_decided(); }, longest, "VMs to get ready");
  rank.team().meet(longest, "all ranks' VMs to get ready");
  rank.reporter().end_phase();
}

void hold(Rank& rank, std::optional<Deadline> job_end) {
  rank.reporter().phase("hold", "holding the VMs until a signal or the end of the job");
  rank.end_before(std::nullopt);  // here it is the ordinary end
  const Deadline end = job_end.value_or(Deadline::after(kMonth));
  rank.wait_for_supervisor([&] { return end.passed(); }, end.left() + 60s, "the job's end");
}

void run_command(Rank& rank, const std::vector<std::string>& command, const fs::path& folder) {
  rank.reporter().phase("command", "running " + command.front());
  rank.reporter().leave_terminal();
  std::optional<Error> failure;
  if (rank.first()) {
    failure = attempt([&] {
      const fs::path hosts = folder / "hosts";
      write_text_atomically(hosts, rank.reporter().hosts());
      rank.call(RunCommand{command, {{"VMILAUNCH_HOSTS", hosts.string()}}}, kSmallStep,
                "the command to start");
      rank.wait_for_supervisor([&] { return rank.command_status().has_value(); }, kMonth,
                               "the command to end");
    });
    // A command that is still there when the launch ends early is told so; the supervisor ends it with the
    // VMs.
    if (failure && !rank.command_status()) rank.ask(SignalCommand{});
  }
  rank.team().agree(failure, kMonth, "running the command");
}

void stop_vms(Rank& rank, CacheSupply* supply, NodePool* pool, Rank::Time patience) {
  Team& team = rank.team();
  rank.call(StopAll{}, patience, "VMs to stop");
  bool changed = supply != nullptr && supply->keep_filled();
  if (pool != nullptr) changed = pool->close() || changed;
  if (changed && supply != nullptr) supply->note();
  team.post(last_letter());
  team.wait_until([&] { return team.all_posted(); }, patience,
                  [] { return "rank 0 to take the last messages"; });
  if (team.first()) {
    team.wait_until([&] { return rank.finals() == team.layout().ranks; }, patience,
                    [] { return "all ranks' last messages"; });
  }
}

}  // namespace vmi
