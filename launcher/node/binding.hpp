// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/cpu_set.hpp"
#include "launcher/node/allocation.hpp"

#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

// Which of a node's CPUs its VMs run on; docs/adr/0006.

/// What one rank knows of its node's CPUs.
struct RankCpus {
  CpuSet own;     ///< its affinity, which mpirun or srun may have made a part of what the job has
  CpuSet parent;  ///< of the process that started it, when that was mpirun or a daemon of it
  CpuSet cpuset;  ///< of its control group; empty: not known
  CpuSet online;
  int allocated = 0;  ///< $SLURM_CPUS_ON_NODE; 0: not known
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RankCpus, own, parent, cpuset, online, allocated)

RankCpus read_rank_cpus(const HostView& host);

/// The CPUs that the job has on a node, from what the node's ranks know. Never more than somebody gave us:
/// where that cannot be told, what the ranks themselves are bound to.
CpuSet job_cpus(const std::vector<RankCpus>& ranks);

/// The CPUs of each NUMA node, from sysfs; empty where there is no such thing.
std::vector<CpuSet> numa_cpus(const fs::path& root);

/// The CPUs for each of `vms` VMs of a node: those of one NUMA node, filled in turn by how many CPUs each has
/// of `allowed`; all of `allowed` where there are no two NUMA nodes or none is large enough for a VM.
std::vector<CpuSet> spread_over_numa(int vms, int cpus_per_vm, const CpuSet& allowed,
                                     const std::vector<CpuSet>& numa);

/// The same as VmSpec has it: lists, "0-3,8", and an empty one for all that are `online`.
std::vector<std::string> cpu_lists(int vms, int cpus_per_vm, const CpuSet& allowed, const CpuSet& online,
                                   const std::vector<CpuSet>& numa);

}  // namespace vmi
