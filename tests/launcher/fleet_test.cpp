// SPDX-License-Identifier: Apache-2.0
#include "launcher/desk/fleet.hpp"

#include "cachegen/support/units.hpp"

#include <cmath>

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

std::vector<VmRow> two_vms() {
  VmRow a;
  a.name = "vm0";
  VmRow b;
  b.name = "vm1";
  return {a, b};
}

}  // namespace

TEST_CASE("a VM's events become its row, on the launch's clock") {
  const LaunchClock clock = LaunchClock::start();
  Fleet fleet(two_vms());
  const std::int64_t now = monotonic_ns();
  const std::int64_t offset = 5'000'000'000;  // the node's clock is 5 s ahead

  fleet.apply(
      VmPrepared{
          .index = 1, .t_prepare = now + offset, .t_spawn = now + offset + 100'000'000, .ssh_port = 2222},
      clock, -offset);
  fleet.apply(VmRunning{.index = 1, .t_running = now + offset + 200'000'000}, clock, -offset);
  const VmRow known =
      fleet
          .apply(VmReady{.index = 1, .t_ready = now + offset + 300'000'000, .ready_by = "serial"}, clock,
                 -offset)
          .value();

  CHECK(known.name == "vm1");
  CHECK(known.state == vm_state::ready);
  CHECK(known.t_ready == Approx(clock.at(now) + 0.3));
  CHECK(std::isnan(known.t_spawn));  // told before
  const Fleet::Vm& vm = fleet.vms()[1];
  CHECK(vm.row.t_spawn == Approx(clock.at(now) + 0.1));
  CHECK(vm.ssh_port == 2222);
  CHECK(std::isnan(vm.row.t_first_read));
  CHECK(fleet.ready() == 1);
  CHECK(fleet.prepared() == 1);
  CHECK(fleet.vms()[0].row.state == vm_state::planned);
}

TEST_CASE("stopping leaves a VM ready or failed, and makes the others stopped") {
  const LaunchClock clock = LaunchClock::start();
  Fleet fleet(two_vms());
  fleet.apply(VmReady{.index = 0, .t_ready = monotonic_ns(), .ready_by = "serial"}, clock, 0);
  VmStopped stopped{.index = 0, .t_stopped = monotonic_ns()};
  stopped.stats.bytes_miss = 42;
  fleet.apply(stopped, clock, 0);
  stopped.index = 1;
  fleet.apply(stopped, clock, 0);
  CHECK(fleet.vms()[0].row.state == vm_state::ready);
  CHECK(fleet.vms()[0].row.bytes_miss == 42);
  CHECK(fleet.vms()[1].row.state == vm_state::stopped);
}

TEST_CASE("failures that all are time-outs are told from the others") {
  const LaunchClock clock = LaunchClock::start();
  Fleet fleet(two_vms());
  CHECK_FALSE(fleet.all_failures_timed_out());
  fleet.apply(VmFailed{.index = 0, .reason = "not ready", .timed_out = true}, clock, 0);
  CHECK(fleet.all_failures_timed_out());
  fleet.apply(VmFailed{.index = 1, .reason = "QEMU ended"}, clock, 0);
  CHECK_FALSE(fleet.all_failures_timed_out());
  CHECK(fleet.failed() == 2);
  CHECK(fleet.vms()[1].row.error == "QEMU ended");
}

TEST_CASE("events that concern no VM, or none of this launch, are told apart") {
  const LaunchClock clock = LaunchClock::start();
  Fleet fleet(two_vms());
  CHECK_FALSE(fleet.apply(CommandExited{0}, clock, 0));
  CHECK_THROWS_AS(fleet.apply(VmRunning{.index = 2}, clock, 0), Error);
}
