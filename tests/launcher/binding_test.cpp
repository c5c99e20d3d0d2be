// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/binding.hpp"

#include "fake_host.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

CpuSet range(int first, int last) {
  CpuSet cpus;
  for (int cpu = first; cpu <= last; ++cpu) cpus.insert(cpu);
  return cpus;
}

RankCpus rank(CpuSet own) {
  return {.own = std::move(own), .online = range(0, 15)};
}

/// A rank as the kernel shows it, started by `parent`.
FakeHost host_with_parent(const std::string& parent) {
  FakeHost host;
  host.write("proc/self/status", "Name:\tvmilaunch\nPPid:\t41\nCpus_allowed:\t4\nCpus_allowed_list:\t2\n");
  host.write("proc/41/status", "Name:\t" + parent + "\nPPid:\t1\nCpus_allowed_list:\t0-3\n");
  host.write("sys/devices/system/cpu/online", "0-15\n");
  return host;
}

}  // namespace

TEST_CASE("a rank knows its own CPUs and those of mpirun's daemon; other parents' mean nothing") {
  FakeHost host = host_with_parent("orted");
  host.variables = {{"SLURM_CPUS_ON_NODE", "4"}};
  const RankCpus cpus = read_rank_cpus(host.view());
  CHECK(cpus.own == CpuSet{2});
  CHECK(cpus.parent == range(0, 3));
  CHECK(cpus.online == range(0, 15));
  CHECK(cpus.allocated == 4);
  CHECK(read_rank_cpus(host_with_parent("slurmstepd").view()).parent.empty());
  CHECK(read_rank_cpus(host_with_parent("bash").view()).parent.empty());
}

TEST_CASE("ranks that mpirun bound to a core each have what mpirun has") {
  RankCpus bound = rank({2});
  bound.parent = range(0, 7);
  CHECK(job_cpus({bound}) == range(0, 7));
}

TEST_CASE("ranks of one node have together what each has") {
  CHECK(job_cpus({rank({2}), rank({5})}) == CpuSet{2, 5});
}

TEST_CASE("a rank that Slurm bound to one core gets its job's cpuset") {
  RankCpus bound = rank({4});
  bound.cpuset = range(4, 7);
  bound.allocated = 4;
  CHECK(job_cpus({bound}) == range(4, 7));
}

TEST_CASE("nothing outside the cpuset is used, whatever the parent may use") {
  RankCpus bound = rank({4});
  bound.parent = range(0, 15);
  bound.cpuset = range(4, 7);
  CHECK(job_cpus({bound}) == range(4, 7));
}

TEST_CASE("without a cpuset a bound rank keeps to its binding, unless its job has the whole machine") {
  RankCpus bound = rank({4});
  bound.allocated = 4;  // which four, nobody says
  CHECK(job_cpus({bound}) == CpuSet{4});
  bound.cpuset = range(0, 15);  // the root's
  CHECK(job_cpus({bound}) == CpuSet{4});
  bound.allocated = 16;
  CHECK(job_cpus({bound}) == range(0, 15));
}

TEST_CASE("NUMA nodes are read from sysfs") {
  FakeHost host;
  CHECK(numa_cpus(host.view().root).empty());
  host.write("sys/devices/system/node/online", "0-1,4\n");
  host.write("sys/devices/system/node/node0/cpulist", "0-3\n");
  host.write("sys/devices/system/node/node1/cpulist", "4-7\n");
  host.write("sys/devices/system/node/node4/cpulist", "\n");  // memory only
  CHECK(numa_cpus(host.view().root) == std::vector<CpuSet>{range(0, 3), range(4, 7)});
}

TEST_CASE("VMs are spread over NUMA nodes") {
  const std::vector<CpuSet> numa = {range(0, 3), range(4, 7)};
  const std::vector<CpuSet> cpus = spread_over_numa(5, 2, range(0, 7), numa);
  REQUIRE(cpus.size() == 5);
  CHECK(std::ranges::count(cpus, numa[0]) == 3);
  CHECK(std::ranges::count(cpus, numa[1]) == 2);
}

TEST_CASE("a NUMA node of which the job has less gets fewer VMs, on those CPUs") {
  const std::vector<CpuSet> cpus = spread_over_numa(8, 1, range(0, 4), {range(0, 2), range(3, 7)});
  CHECK(std::ranges::count(cpus, range(0, 2)) == 5);
  CHECK(std::ranges::count(cpus, range(3, 4)) == 3);
}

TEST_CASE("with one NUMA node, or VMs that fit into none, VMs run on all of the job's CPUs") {
  CHECK(spread_over_numa(2, 1, range(0, 2), {range(0, 7)}) == std::vector<CpuSet>(2, range(0, 2)));
  CHECK(spread_over_numa(2, 1, range(0, 2), {}) == std::vector<CpuSet>(2, range(0, 2)));
  CHECK(spread_over_numa(1, 6, range(0, 7), {range(0, 3), range(4, 7)}) == std::vector<CpuSet>{range(0, 7)});
}
