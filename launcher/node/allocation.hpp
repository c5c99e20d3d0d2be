// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/cpu_set.hpp"
#include "cachegen/support/file.hpp"

#include <functional>
#include <string>

#include <nlohmann/json.hpp>

namespace vmi {

/// Where an Allocation is read from; tests have a file tree and variables of their own.
struct HostView {
  fs::path root = "/";
  std::function<std::string(const char*)> variable;  ///< of the environment; empty text: not set
  Bytes rss_limit = 0;                               ///< RLIMIT_RSS; 0: none

  static HostView real();
};

/// What this process's node may give to a launch, and who says so. docs/adr/0006 has the order.
struct Allocation {
  Bytes memory = 0;
  std::string memory_source;  ///< "SLURM_MEM_PER_NODE" and the like, for messages
  int cpus = 0;
  std::string cpus_source;
  bool in_slurm = false;
};

/// Memory: the least of Slurm's word ($SLURM_MEM_PER_NODE, or $SLURM_MEM_PER_CPU times $SLURM_CPUS_ON_NODE,
/// and RLIMIT_RSS, which slurmstepd sets to the step's memory whether or not a variable says it), what the
/// control group has left, and, unless Slurm has promised some, what the machine has available
/// (MemAvailable). CPUs: the least of $SLURM_CPUS_ON_NODE, the cpuset, the control group's quota and what is
/// online. A source that cannot be read counts for nothing.
Allocation read_allocation(const HostView& host);

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Allocation, memory, memory_source, cpus, cpus_source, in_slurm)

}  // namespace vmi
