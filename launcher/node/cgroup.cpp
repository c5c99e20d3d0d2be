// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/cgroup.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace vmi {
namespace {

/// Version 1 says "no limit" by a number of this order.
constexpr Bytes kNoLimit = Bytes{1} << 60;

std::string text_of(const fs::path& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  if (stream) text << stream.rdbuf();
  return text.str();
}

std::optional<long long> number_in(const fs::path& file) {
  const std::string text = text_of(file);
  long long number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc{}) return std::nullopt;
  return number;
}

bool lists(const std::string& words, const std::string& word) {
  return ("," + words + ",").find("," + word + ",") != std::string::npos;
}

/// Whether a hierarchy with these controllers is version 1's of `controller`, or version 2's when that is
/// empty.
bool is_of(const std::string& controllers, const std::string& controller) {
  return controller.empty() ? controllers.empty() : lists(controllers, controller);
}

/// The page cache, which the kernel takes back before a limit hurts. Memory file systems are no part of it.
Bytes reclaimable(const fs::path& folder) {
  Bytes version1 = 0;
  Bytes version2 = 0;
  std::istringstream lines(text_of(folder / "memory.stat"));
  std::string name;
  for (Bytes bytes = 0; lines >> name >> bytes;) {
    if (name == "total_inactive_file" || name == "total_active_file") version1 += bytes;
    if (name == "inactive_file" || name == "active_file") version2 += bytes;
  }
  return std::max(version1, version2);  // version 1's own figures, without "total_", leave its children out
}

std::optional<MemoryLimit> memory_limit_of(const fs::path& folder) {
  const auto either = [&](const char* version2, const char* version1) {
    const std::optional<long long> number = number_in(folder / version2);
    return number ? number : number_in(folder / version1);
  };
  const std::optional<long long> limit = either("memory.max", "memory.limit_in_bytes");
  if (!limit || *limit < 0 || static_cast<Bytes>(*limit) >= kNoLimit) return std::nullopt;
  const auto used = static_cast<Bytes>(either("memory.current", "memory.usage_in_bytes").value_or(0));
  const Bytes kept = used - std::min(used, reclaimable(folder));
  const auto bytes = static_cast<Bytes>(*limit);
  return MemoryLimit{bytes - std::min(bytes, kept), bytes, folder};
}

}  // namespace

Cgroups::Cgroups(const fs::path& root) {
  std::ifstream mounts(root / "proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    const std::size_t dash = line.find(" - cgroup");
    if (dash == std::string::npos) continue;
    std::string skipped, top, point, type, source, options;
    std::istringstream(line.substr(0, dash)) >> skipped >> skipped >> skipped >> top >> point;
    std::istringstream(line.substr(dash + 3)) >> type >> source >> options;
    if (type != "cgroup" && type != "cgroup2") continue;
    mounts_.push_back({type == "cgroup2" ? "" : options, root / fs::path(point).relative_path(), top});
  }
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "4:memory:/path"; version 2: "0::/path"
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    groups_.emplace_back(line.substr(first + 1, second - first - 1), line.substr(second + 1));
  }
}

void Cgroups::add_folders(const std::string& controller, std::vector<fs::path>& folders) const {
  const auto mount = std::ranges::find_if(
      mounts_, [&](const Hierarchy& each) { return is_of(each.controllers, controller); });
  const auto group =
      std::ranges::find_if(groups_, [&](const auto& each) { return is_of(each.first, controller); });
  if (mount == mounts_.end() || group == groups_.end()) return;
  // In a container only a part of the hierarchy may be mounted, and the path may lead out of it.
  const fs::path below = group->second.lexically_relative(mount->mounted_folder);
  const bool visible = !below.empty() && *below.begin() != "..";
  fs::path folder = visible && below != "." ? mount->mount_point / below : mount->mount_point;
  while (true) {
    std::error_code error;
    if (fs::is_directory(folder, error)) folders.push_back(folder);
    if (folder == mount->mount_point || folder == folder.parent_path()) return;
    folder = folder.parent_path();
  }
}

std::vector<fs::path> Cgroups::folders(const std::string& controller) const {
  std::vector<fs::path> folders;
  add_folders(controller, folders);
  add_folders("", folders);
  return folders;
}

std::optional<MemoryLimit> Cgroups::memory() const {
  std::optional<MemoryLimit> tightest;
  for (const fs::path& folder : folders("memory")) {
    const std::optional<MemoryLimit> limit = memory_limit_of(folder);
    if (limit && (!tightest || limit->room < tightest->room)) tightest = limit;
  }
  return tightest;
}

CpuSet Cgroups::cpus() const {
  for (const fs::path& folder : folders("cpuset")) {
    for (const char* file : {"cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"}) {
      CpuSet cpus = parse_cpu_list(text_of(folder / file));
      if (!cpus.empty()) return cpus;
    }
  }
  return {};
}

std::optional<double> Cgroups::cpu_quota() const {
  std::optional<double> smallest;
  for (const fs::path& folder : folders("cpu")) {
    double quota = 0;
    double period = 0;
    std::istringstream version2(text_of(folder / "cpu.max"));  // "200000 100000", or "max 100000"
    if (!(version2 >> quota >> period)) {
      quota = static_cast<double>(number_in(folder / "cpu.cfs_quota_us").value_or(0));  // -1: none
      period = static_cast<double>(number_in(folder / "cpu.cfs_period_us").value_or(0));
    }
    if (quota > 0 && period > 0) smallest = std::min(smallest.value_or(quota / period), quota / period);
  }
  return smallest;
}

}  // namespace vmi
