// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/fit_check.hpp"

#include "tests/launch/ranks.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using namespace vmi::test;
using Catch::Contains;

namespace {

/// Plans and looks on all ranks; then `demand`.
std::vector<FitReport> look(Ranks& ranks, const std::function<void(Seat&, const FitReport&)>& demand,
                            bool always = false) {
  std::vector<FitReport> reports(static_cast<std::size_t>(ranks.count()));
  ranks.run([&](Seat& seat) {
    const LaunchPlan plan = plan_launch(seat.rank, seat.options, LaunchClock::of(0));
    NodePool pool(seat.options.node_dir, std::nullopt);
    const auto supply = make_supply({seat.rank, seat.options, plan, pool});
    FitReport& report = reports[static_cast<std::size_t>(seat.team.rank())];
    report = look_whether_it_fits(seat.rank, plan, *supply, pool, always);
    demand(seat, report);
  });
  return reports;
}

void make_small(Seat& seat) {
  seat.host.write("proc/meminfo", "MemTotal: 131072 kB\nMemAvailable: 131072 kB\n");
}

void demand_all(Seat& seat, const FitReport& report) {
  demand_room(seat.rank, report, seat.options.overcommit);
  demand_cpus(seat.rank, report, seat.options.overcommit);
}

}  // namespace

TEST_CASE("where all fits nobody collects numbers, unless they are wanted") {
  Ranks ranks({0, 1}, options_for(4, "none"));
  const bool always = GENERATE(false, true);
  const std::vector<FitReport> reports = look(ranks, demand_all, always);
  REQUIRE(ranks.nobody_threw());
  CHECK(reports[0].fits.size() == (always ? 2U : 0U));
  CHECK(reports[0].memory.empty());
}

TEST_CASE("a node with too little memory ends the launch on every rank, by its name and with the numbers") {
  Ranks ranks({0, 1, 2}, options_for(12, "none"));
  make_small(ranks.at(1));
  look(ranks, demand_all);
  for (int rank = 0; rank < 3; ++rank) {
    REQUIRE(ranks.at(rank).thrown);
    CHECK(ranks.at(rank).thrown->status() == ExitStatus::environment);
    CHECK_THAT(ranks.at(rank).thrown->what(), Contains("node1") && !Contains("node2"));
  }
}

TEST_CASE("--overcommit all goes on with too little memory") {
  LaunchOptions options = options_for(12, "none");
  options.overcommit = Overcommit::all;
  Ranks ranks({0, 1}, options);
  make_small(ranks.at(1));
  const std::vector<FitReport> reports = look(ranks, demand_all);
  CHECK(ranks.nobody_threw());
  CHECK_THAT(reports[0].memory, Contains("node1"));
}

TEST_CASE("too few CPUs are too few only with --overcommit none") {
  LaunchOptions options = options_for(40, "none");
  options.overcommit = GENERATE(Overcommit::none, Overcommit::cpus);
  Ranks ranks({0}, options);
  look(ranks, demand_all);
  REQUIRE(ranks.at(0).thrown.has_value() == (options.overcommit == Overcommit::none));
  if (ranks.at(0).thrown) CHECK_THAT(ranks.at(0).thrown->what(), Contains("--overcommit cpus"));
}

TEST_CASE("a cold launch counts what its caches may fill, where it has VMs") {
  Ranks ranks({0, 1}, options_for(1, "cold"));
  std::vector<Bytes> fill(2);
  ranks.run([&](Seat& seat) {
    const LaunchPlan plan = plan_launch(seat.rank, seat.options, LaunchClock::of(0));
    NodePool pool(seat.options.node_dir, std::nullopt);
    const auto supply = make_supply({seat.rank, seat.options, plan, pool});
    fill[static_cast<std::size_t>(seat.team.rank())] = supply->bytes_to_fill(plan.images.at(0));
  });
  REQUIRE(ranks.nobody_threw());
  CHECK(fill == std::vector<Bytes>{16 * MiB, 0});
}
