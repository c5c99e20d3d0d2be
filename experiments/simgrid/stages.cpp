// SPDX-License-Identifier: Apache-2.0
#include "experiments/simgrid/stages.hpp"

#include "experiments/simgrid/stand_in.hpp"
#include "launcher/mpi/mpi_team.hpp"
#include "launcher/mpi/scheme.hpp"

#include <cstring>
#include <random>

namespace vmi {
namespace {

using namespace std::chrono_literals;

/// The launch owns its reporter; this one hands on to what outlives it.
class Handing final : public Reporter {
 public:
  explicit Handing(StageReporter& to) : to_(to) {}
  void phase(const std::string& name, const std::string& text) override { to_.phase(name, text); }
  void take(int rank, const std::string& letter) override { to_.take(rank, letter); }
  int conclude(const LaunchEnd& end, ExitStatus own) override { return to_.conclude(end, own); }

 private:
  StageReporter& to_;
};

const StageOptions* g_options = nullptr;  // of the one launch that this program does at a time
thread_local BringTimes g_first_times;    // of rank 0, which reports

std::unique_ptr<CacheSupply> make_stand_in(const SupplySetting& setting) {
  static BringTimes others;
  return std::make_unique<StandInSupply>(setting, *g_options, setting.rank.first() ? g_first_times : others);
}

LaunchOptions launch_options(const StageOptions& options, int ranks, const std::string& node) {
  static const CacheMode mode = {.name = "stand-in", .help = "", .make = make_stand_in};
  LaunchOptions launch;
  launch.images = {{"image", 0}};
  launch.vms = ranks;
  launch.hostname_prefix = "vm";
  launch.cache = &mode;
  launch.node_dir = options.folder / node;
  launch.cache_dir = options.folder / "store";
  launch.output = options.folder / "run.h5";
  launch.overcommit = Overcommit::all;  // the ranks of a box share one machine
  launch.timeout = 3600s;
  launch.ready = ReadySpec::parse("none");
  return launch;
}

/// Where nothing limits a launch.
HostView no_host() {
  HostView host;
  host.root = "/nonexistent";
  host.variable = [](const char*) { return std::string(); };
  return host;
}

double seconds_between(std::int64_t begin_ns, std::int64_t end_ns) {
  return static_cast<double>(end_ns - begin_ns) * 1e-9;
}

nlohmann::json seconds_of(const StageReporter& heard, std::int64_t end_ns) {
  const auto at = [&](const char* phase) { return heard.begin_ns.at(phase); };
  const double brought = g_first_times.offer_s + g_first_times.move_s;
  return {{"plan", seconds_between(at("plan"), at("distribute"))},
          {"offer", g_first_times.offer_s},
          {"distribute", g_first_times.move_s},
          {"prepare", seconds_between(at("distribute"), at("start")) - brought},
          {"boot", seconds_between(at("start"), at("stop"))},
          {"end", seconds_between(at("stop"), end_ns)}};
}

}  // namespace

void fill_chunk(std::size_t number, std::span<std::byte> bytes) {
  std::mt19937_64 random(number + 1);
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t word = random();
    std::memcpy(&bytes[at], &word, std::min(sizeof word, bytes.size() - at));
  }
}

nlohmann::json run_stages(Session& session, const StageOptions& options) {
  g_options = &options;
  MpiTeam team(session, Deadline::after(600s), options.distribute, true);
  team.meet(600s, "the launch to begin");
  StandInSupervisor supervisor(options, team.rank());
  const LaunchOptions launch_with = launch_options(options, team.layout().ranks, team.layout().node_key);
  Rank rank(team, supervisor, false, no_host());
  StageReporter heard;
  const std::int64_t zero = monotonic_ns();
  Launch launch(rank, launch_with, [&](const LaunchClock&) { return std::make_unique<Handing>(heard); });
  const int status = launch.run();
  const std::int64_t end = monotonic_ns();
  if (status != 0) {
    throw heard.failure.value_or(
        Error(static_cast<ExitStatus>(status), "the launch failed; rank 0 knows why"));
  }
  if (!team.first()) return {};
  return {{"nodes", team.layout().nodes},
          {"cache_bytes", options.cache_bytes},
          {"scheme",
           to_text(resolve_options(options.distribute, team.layout().nodes, options.cache_bytes).scheme)},
          {"wire_bytes", heard.wire_bytes},
          {"letters", heard.letters},
          {"seconds", seconds_of(heard, end)},
          {"total_s", seconds_between(zero, end)}};
}

}  // namespace vmi
