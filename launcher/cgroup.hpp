// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/cpu_set.hpp"
#include "cachegen/support/file.hpp"

#include <optional>
#include <string>
#include <vector>

namespace vmi {

// The limits that control groups set to this process, of either version (cgroups(7)). `root` is "/" but in
// tests. What cannot be read limits nothing.

/// The folders of this process's control group for `controller` ("memory", "cpu", "cpuset"), from its own to
/// the topmost that can be seen: a limit of any of them holds.
std::vector<fs::path> cgroup_folders(const fs::path& root, const std::string& controller);

struct MemoryLimit {
  Bytes room = 0;  ///< that is left: the limit less what is in use and could not be reclaimed
  Bytes limit = 0;
  fs::path folder;  ///< the group that sets it
};

/// The limit that leaves the least room.
std::optional<MemoryLimit> cgroup_memory(const fs::path& root);

/// The CPUs that the cpuset allows; empty: there is none.
CpuSet cgroup_cpus(const fs::path& root);

/// The smallest CPU quota, in CPUs.
std::optional<double> cgroup_cpu_quota(const fs::path& root);

}  // namespace vmi
