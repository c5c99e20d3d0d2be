// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/fit.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using Catch::Contains;

namespace {

GuestSpec guest(Accel accel) {
  GuestSpec guest;
  guest.accel = accel;
  guest.memory = 512 * MiB;
  guest.cpus = 2;
  return guest;
}

/// A node with plenty of everything.
NodeLoad load() {
  NodeLoad load;
  load.node = "n2";
  load.ranks = 2;
  load.vms = 4;
  load.disk = 2 * GiB;
  load.node_dir = "/scratch";
  load.node_dir_free = 100 * GiB;
  load.allocation = {.memory = 100 * GiB,
                     .memory_source = "SLURM_MEM_PER_NODE",
                     .cpus = 64,
                     .cpus_source = "SLURM_CPUS_ON_NODE",
                     .in_slurm = true};
  return load;
}

}  // namespace

TEST_CASE("guests, QEMU and ranks are counted") {
  const NodeFit fit = fit_of(load(), guest(Accel::kvm));
  CHECK(fit.memory == 4 * (512 * MiB + qemu_overhead(guest(Accel::kvm))) + 2 * 32 * MiB);
  CHECK(qemu_overhead(guest(Accel::tcg)) == qemu_overhead(guest(Accel::kvm)) + 64 * MiB);
  CHECK(fit.cpus == 8);
  CHECK(fit.memory_problem.empty());
  CHECK(fit.space_problem.empty());
  CHECK(fit.cpu_problem.empty());
}

TEST_CASE("overlays and caches count as memory where --node-dir is in memory") {
  NodeLoad in_memory = load();
  in_memory.cache = 70 * MiB;
  in_memory.filling = 30 * MiB;
  const NodeFit on_disk = fit_of(in_memory, guest(Accel::kvm));
  in_memory.node_dir_in_memory = true;
  const NodeFit fit = fit_of(in_memory, guest(Accel::kvm));
  CHECK(fit.memory == on_disk.memory + 4 * 4 * MiB + 100 * MiB);
  CHECK_THAT(fit.memory_text, Contains("100 MiB cache in memory"));
  CHECK(on_disk.space == 4 * 4 * MiB + 70 * MiB);  // what fills stops where the room ends
}

TEST_CASE("an overlay is no larger than its disk") {
  NodeLoad small = load();
  small.disk = 1 * MiB;
  CHECK(fit_of(small, guest(Accel::kvm)).space == 4 * MiB);
}

TEST_CASE("the last byte that is missing is missed, with the arithmetic and the remedy") {
  NodeLoad tight = load();
  tight.allocation.memory = fit_of(load(), guest(Accel::tcg)).memory;
  CHECK(fit_of(tight, guest(Accel::tcg)).memory_problem.empty());
  tight.allocation.memory -= 1;
  CHECK_THAT(
      fit_of(tight, guest(Accel::tcg)).memory_problem,
      Contains("node n2: 4 VMs x (512 MiB memory + 112 MiB QEMU with tcg) + 2 ranks x 32 MiB = 2560 MiB") &&
          Contains("2559 MiB (SLURM_MEM_PER_NODE)") && Contains("--mem=2560M") &&
          Contains("--overcommit all"));
}

TEST_CASE("a --node-dir that is too small is named") {
  NodeLoad full = load();
  full.cache = 70 * MiB;
  full.node_dir_free = 80 * MiB;
  CHECK_THAT(
      fit_of(full, guest(Accel::kvm)).space_problem,
      Contains("4 overlays x 4 MiB + 70 MiB cache = 86 MiB") && Contains("'/scratch' has 80 MiB free"));
}

TEST_CASE("CPUs are counted too") {
  NodeLoad few = load();
  few.allocation.cpus = 7;
  CHECK_THAT(fit_of(few, guest(Accel::kvm)).cpu_problem,
             Contains("4 VMs x 2 CPUs = 8, and there are 7 (SLURM_CPUS_ON_NODE)"));
}

TEST_CASE("what nobody bounds is no problem, and a node without VMs has none") {
  NodeLoad unbounded = load();
  unbounded.allocation = {};
  const NodeFit fit = fit_of(unbounded, guest(Accel::kvm));
  CHECK((fit.memory_problem + fit.cpu_problem).empty());
  NodeLoad idle = load();
  idle.vms = 0;
  idle.allocation.memory = 1;
  CHECK(fit_of(idle, guest(Accel::kvm)).memory_problem.empty());
}

TEST_CASE("of a node's ranks the one that finds the least memory counts") {
  NodeLoad less = load();
  less.allocation.memory = 1 * GiB;
  const NodeFit rich = fit_of(load(), guest(Accel::kvm));
  const NodeFit poor = fit_of(less, guest(Accel::kvm));
  CHECK(tighter(rich, poor).allocation.memory == 1 * GiB);
  CHECK(tighter(poor, rich).allocation.memory == 1 * GiB);
  CHECK(tighter(NodeFit{}, rich).node == "n2");
}
