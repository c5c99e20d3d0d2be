// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/bind.hpp"
#include "tests/launch/ranks.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using namespace vmi::test;
using Catch::Contains;

namespace {

std::vector<LaunchPlan> plan_all(Ranks& ranks) {
  std::vector<LaunchPlan> plans(static_cast<std::size_t>(ranks.count()));
  ranks.run([&](Seat& seat) {
    plans[static_cast<std::size_t>(seat.team.rank())] =
        plan_launch(seat.rank, seat.options, LaunchClock::of(seat.team.first() ? 1000 : 7));
  });
  return plans;
}

}  // namespace

TEST_CASE("all ranks plan the same launch, on rank 0's clock") {
  Ranks ranks({0, 1, 1}, options_for(8));
  const std::vector<LaunchPlan> plans = plan_all(ranks);
  REQUIRE(ranks.nobody_threw());
  for (const LaunchPlan& plan : plans) {
    CHECK(plan.clock.zero_ns() == 1000);
    REQUIRE(plan.images.size() == 1);
    CHECK(plan.images[0].url == "a.raw");
    CHECK(plan.images[0].virtual_bytes == 64 * MiB);
    CHECK(plan.placed.size() == 8);
    CHECK(plan.guest.accel == Accel::tcg);
    CHECK(plan.driver == Driver::vmicache);
  }
  CHECK(ranks.at(0).rank.vms().placed == 4);
  CHECK(ranks.at(1).rank.vms().placed == 2);
  CHECK(ranks.at(2).rank.vms().placed == 2);
}

TEST_CASE("rank 0's reporter hears of every VM, its node and its image") {
  Ranks ranks({0, 1}, options_for(2));
  plan_all(ranks);
  const ListeningReporter& heard = ranks.at(0).reporter;
  REQUIRE(heard.vms.size() == 2);
  CHECK(heard.vms[1].name == "vm1");
  CHECK(heard.vms[1].node == 1);
  CHECK(heard.vms[1].image == "a.raw");
  CHECK(heard.attributes.accel == "tcg");
  CHECK(heard.attributes.nodes == 2);
  REQUIRE(heard.images.size() == 1);
  CHECK(heard.images[0].mode == "auto");
  CHECK(ranks.at(1).reporter.vms.size() == 2);  // each rank reports; only the first one's goes anywhere
}

TEST_CASE("other ranks take the accelerator that rank 0 chose") {
  Ranks ranks({0, 1}, options_for(2));
  plan_all(ranks);
  REQUIRE(ranks.nobody_threw());
  CHECK(ranks.at(0).supervisor.asked<ProbeHypervisor>().at(0).accel == "auto");
  CHECK(ranks.at(1).supervisor.asked<ProbeHypervisor>().at(0).accel == "tcg");
}

TEST_CASE("only rank 0 looks at the images") {
  Ranks ranks({0, 1}, options_for(2));
  plan_all(ranks);
  CHECK(ranks.at(0).supervisor.asked<InspectImage>().size() == 1);
  CHECK(ranks.at(1).supervisor.asked<InspectImage>().empty());
}

TEST_CASE("an image that cannot be opened ends the launch on every rank") {
  Ranks ranks({0, 1}, options_for(2));
  ranks.at(0).supervisor.on<InspectImage>([](const InspectImage&) -> InspectedImage {
    throw Error(ExitStatus::unusable, "cannot open image 'a.raw': No such file or directory");
  });
  plan_all(ranks);
  for (int rank = 0; rank < 2; ++rank) {
    REQUIRE(ranks.at(rank).thrown);
    CHECK(ranks.at(rank).thrown->status() == ExitStatus::unusable);
    CHECK_THAT(ranks.at(rank).thrown->what(), Contains("rank 0 on host0: planning: cannot open image"));
  }
}

TEST_CASE("a node without QEMU is named on every rank") {
  Ranks ranks({0, 1, 2}, options_for(3));
  ranks.at(2).supervisor.on<ProbeHypervisor>([](const ProbeHypervisor&) -> HypervisorFacts {
    throw Error(ExitStatus::environment, "cannot find QEMU");
  });
  plan_all(ranks);
  for (int rank = 0; rank < 3; ++rank) {
    REQUIRE(ranks.at(rank).thrown);
    CHECK(ranks.at(rank).thrown->status() == ExitStatus::environment);
    CHECK_THAT(ranks.at(rank).thrown->what(), Contains("rank 2 on host2") && Contains("cannot find QEMU"));
  }
}

TEST_CASE("a supervisor that does not answer is given up, by the name of what was asked") {
  Ranks ranks({0}, options_for(1));
  ranks.world().longest = std::chrono::milliseconds(200);
  ranks.at(0).supervisor.ignore<ProbeHypervisor>();
  plan_all(ranks);
  REQUIRE(ranks.at(0).thrown);
  CHECK(ranks.at(0).thrown->status() == ExitStatus::timed_out);
  CHECK_THAT(ranks.at(0).thrown->what(), Contains("its look at QEMU and libvirt"));
}

TEST_CASE("VMs run on the CPUs of all of a node's ranks") {
  Ranks ranks({0, 0}, options_for(2));
  for (int rank = 0; rank < 2; ++rank) ranks.at(rank).host.variables.insert({"SLURM_CPUS_ON_NODE", "8"});
  const std::vector<LaunchPlan> plans = plan_all(ranks);
  std::vector<VmCpus> cpus(2);
  ranks.run([&](Seat& seat) {
    const auto own = static_cast<std::size_t>(seat.team.rank());
    cpus[own] = bind_to_job(seat.rank, plans[own]);
  });
  REQUIRE(ranks.nobody_threw());
  CHECK(cpus[0].size() == 2);
  CHECK(cpus[0] == cpus[1]);
}
