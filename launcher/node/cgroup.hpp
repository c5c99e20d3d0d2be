// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/cpu_set.hpp"
#include "cachegen/support/file.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vmi {

struct MemoryLimit {
  Bytes room = 0;  ///< that is left: the limit less what is in use and could not be reclaimed
  Bytes limit = 0;
  fs::path folder;  ///< the group that sets it
};

/// The control groups of this process, of either version (cgroups(7)), and the limits that they set to it.
/// What cannot be read limits nothing.
class Cgroups {
 public:
  /// Finds the groups, once: a node may have hundreds of mounts to read. `root` is "/" but in tests.
  explicit Cgroups(const fs::path& root);

  /// The limit that leaves the least room.
  std::optional<MemoryLimit> memory() const;
  /// The CPUs that the cpuset allows; empty: there is none.
  CpuSet cpus() const;
  /// The smallest CPU quota, in CPUs.
  std::optional<double> cpu_quota() const;

 private:
  /// A hierarchy; version 2's has no controllers here.
  struct Hierarchy {
    std::string controllers;  ///< comma-separated
    fs::path mount_point;
    fs::path mounted_folder;  ///< of the hierarchy
  };

  /// The folders of this process's group for `controller` ("memory", "cpu", "cpuset"), from its own to the
  /// topmost that can be seen: a limit of any of them holds.
  std::vector<fs::path> folders(const std::string& controller) const;
  void add_folders(const std::string& controller, std::vector<fs::path>& folders) const;

  std::vector<Hierarchy> mounts_;
  std::vector<std::pair<std::string, fs::path>> groups_;  ///< controllers, this process's folder
};

}  // namespace vmi
