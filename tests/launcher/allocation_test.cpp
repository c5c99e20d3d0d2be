// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/allocation.hpp"

#include "fake_host.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using Catch::Contains;

namespace {

FakeHost plain_machine() {
  FakeHost host;
  host.write("proc/meminfo",
             "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8388608 kB\n");
  host.write("sys/devices/system/cpu/online", "0-7\n");
  return host;
}

/// A job's step as Slurm's cgroup plugin makes it under version 2: the limit is the job's.
FakeHost version2_machine() {
  FakeHost host = plain_machine();
  host.write("proc/self/cgroup", "0::/slurm/job_7/step_0\n");
  host.write("proc/self/mountinfo",
             "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
  host.write("sys/fs/cgroup/slurm/job_7/step_0/memory.max", "max\n");
  host.write("sys/fs/cgroup/slurm/job_7/memory.max", "1073741824\n");
  host.write("sys/fs/cgroup/slurm/job_7/memory.current", "314572800\n");
  host.write("sys/fs/cgroup/slurm/job_7/memory.stat",
             "anon 104857600\ninactive_file 104857600\nactive_file 104857600\n");
  host.write("sys/fs/cgroup/slurm/memory.max", "max\n");
  return host;
}

}  // namespace

TEST_CASE("a machine without a job offers what is available") {
  const FakeHost host = plain_machine();
  const Allocation found = read_allocation(host.view());
  CHECK(found.memory == 8 * GiB);
  CHECK_THAT(found.memory_source, Contains("MemAvailable"));
  CHECK(found.cpus == 8);
  CHECK_FALSE(found.in_slurm);
}

TEST_CASE("what Slurm gave a job counts, and the machine's free memory no longer does") {
  FakeHost host = plain_machine();
  host.variables = {{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_NODE", "12000"}, {"SLURM_CPUS_ON_NODE", "4"}};
  const Allocation found = read_allocation(host.view());
  CHECK(found.in_slurm);
  CHECK(found.memory == 12000 * MiB);
  CHECK(found.memory_source == "SLURM_MEM_PER_NODE");
  CHECK(found.cpus == 4);
  CHECK(found.cpus_source == "SLURM_CPUS_ON_NODE");
}

TEST_CASE("memory by CPU is that of all CPUs on the node") {
  FakeHost host = plain_machine();
  host.variables = {{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_CPU", "500"}, {"SLURM_CPUS_ON_NODE", "6"}};
  CHECK(read_allocation(host.view()).memory == 3000 * MiB);
}

TEST_CASE("a step's own limit, which no variable tells, is known from its resource limits") {
  FakeHost host = plain_machine();
  host.rss_limit = 300 * MiB;
  CHECK(read_allocation(host.view()).memory == 8 * GiB);  // outside a job it binds nobody: getrlimit(2)
  host.variables = {{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_NODE", "12000"}};
  const Allocation found = read_allocation(host.view());
  CHECK(found.memory == 300 * MiB);
  CHECK_THAT(found.memory_source, Contains("ulimit -m"));
}

TEST_CASE("a job that asked for all of a node's memory (--mem=0) has what is available there") {
  FakeHost host = plain_machine();
  host.variables = {{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_NODE", "0"}};
  CHECK(read_allocation(host.view()).memory == 8 * GiB);
}

TEST_CASE(
    "a limit of a control group above this process's holds, less what is in use and cannot be reclaimed") {
  const FakeHost host = version2_machine();
  const Allocation found = read_allocation(host.view());
  CHECK(found.memory == 924 * MiB);
  CHECK_THAT(found.memory_source, Contains("/slurm/job_7 ") && Contains("1 GiB"));
}

TEST_CASE("control groups of version 1 count as well") {
  FakeHost host = plain_machine();
  host.write("proc/self/cgroup",
             "9:name=systemd:/\n4:memory:/slurm/job_7\n3:cpuset:/slurm/job_7\n2:cpu,cpuacct:/slurm\n0::/\n");
  host.write("proc/self/mountinfo",
             "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
             "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
             "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  host.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  host.write("sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes", "2147483648\n");
  host.write("sys/fs/cgroup/memory/slurm/job_7/memory.usage_in_bytes", "1048576\n");
  host.write("sys/fs/cgroup/cpuset/slurm/job_7/cpuset.effective_cpus", "2-4\n");
  host.write("sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_quota_us", "150000\n");
  host.write("sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_period_us", "100000\n");
  const Allocation found = read_allocation(host.view());
  CHECK(found.memory == 2047 * MiB);
  CHECK(found.cpus == 2);  // a quota of one and a half
  CHECK_THAT(found.cpus_source, Contains("quota"));
}

TEST_CASE("the cpuset bounds the CPUs") {
  FakeHost host = version2_machine();
  host.write("sys/fs/cgroup/slurm/job_7/step_0/cpuset.cpus.effective", "0-1,6\n");
  host.write("sys/fs/cgroup/slurm/job_7/step_0/cpu.max", "max 100000\n");
  const Allocation found = read_allocation(host.view());
  CHECK(found.cpus == 3);
  CHECK_THAT(found.cpus_source, Contains("0-1,6"));
}

TEST_CASE("in a container that sees only its part of the control groups, that part counts") {
  FakeHost host = plain_machine();
  host.write("proc/self/cgroup", "0::/../../elsewhere\n");
  host.write("proc/self/mountinfo", "30 23 0:26 /containers/c1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  host.write("sys/fs/cgroup/memory.max", "536870912\n");
  CHECK(read_allocation(host.view()).memory == 512 * MiB);
}

TEST_CASE("where nothing can be read, nothing is known") {
  const FakeHost host;
  const Allocation found = read_allocation(host.view());
  CHECK(found.memory_source.empty());
  CHECK(found.cpus_source.empty());
}
