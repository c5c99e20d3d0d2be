// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/binding.hpp"

#include "launcher/node/cgroup.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <string_view>

#include <unistd.h>

namespace vmi {
namespace {

/// What starts ranks, and may have more CPUs than it leaves each of them. Anything else may be bound to
/// nothing (slurmstepd) or be somebody whom the launch's binding is not for (the shell of `taskset
/// vmilaunch`).
constexpr std::array<std::string_view, 8> kMpiStarters = {"mpirun",  "mpiexec", "orterun", "orted",
                                                          "prterun", "prted",   "prun",    "hydra_pmi_proxy"};

CpuSet list_in(const fs::path& file) {
  std::ifstream stream(file);
  std::string text;
  std::getline(stream, text);
  return parse_cpu_list(text);
}

/// The value of `name` in a process's status; empty text: there is none.
std::string status_of(const fs::path& root, const std::string& process, const std::string& name) {
  std::ifstream lines(root / "proc" / process / "status");
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + ":")) return line.substr(line.find_first_not_of(" \t", name.size() + 1));
  }
  return {};
}

void add(const CpuSet& cpus, CpuSet& to) {
  to.insert(cpus.begin(), cpus.end());
}

CpuSet common(const CpuSet& one, const CpuSet& other) {
  CpuSet both;
  std::ranges::set_intersection(one, other, std::inserter(both, both.end()));
  return both;
}

}  // namespace

RankCpus read_rank_cpus(const HostView& host) {
  RankCpus cpus;
  cpus.own = parse_cpu_list(status_of(host.root, "self", "Cpus_allowed_list"));
  const std::string parent = status_of(host.root, "self", "PPid");
  if (!parent.empty() &&
      std::ranges::find(kMpiStarters, status_of(host.root, parent, "Name")) != kMpiStarters.end())
    cpus.parent = parse_cpu_list(status_of(host.root, parent, "Cpus_allowed_list"));
  cpus.cpuset = Cgroups(host.root).cpus();
  cpus.online = list_in(host.root / "sys/devices/system/cpu/online");
  const std::string allocated = host.variable("SLURM_CPUS_ON_NODE");
  std::from_chars(allocated.data(), allocated.data() + allocated.size(), cpus.allocated);
  return cpus;
}

CpuSet job_cpus(const std::vector<RankCpus>& ranks) {
  CpuSet ours;
  CpuSet cpuset;
  CpuSet online;
  std::size_t allocated = 0;
  for (const RankCpus& rank : ranks) {
    add(rank.own, ours);
    add(rank.parent, ours);
    add(rank.cpuset, cpuset);
    add(rank.online, online);
    allocated = std::max(allocated, static_cast<std::size_t>(std::max(0, rank.allocated)));
  }
  if (!cpuset.empty()) ours = common(ours, cpuset);
  if (ours.size() >= allocated) return ours;
  // The ranks are bound to less than the job has. What it has is its cpuset, when it has one, or the machine.
  if (!cpuset.empty() && cpuset != online) return cpuset;
  return allocated >= online.size() ? online : ours;
}

std::vector<CpuSet> numa_cpus(const fs::path& root) {
  std::vector<CpuSet> nodes;
  const fs::path folder = root / "sys/devices/system/node";
  std::ifstream online(folder / "online");
  std::string list;
  std::getline(online, list);
  for (const int node : parse_cpu_list(list)) {
    const CpuSet cpus = list_in(folder / ("node" + std::to_string(node)) / "cpulist");
    if (!cpus.empty()) nodes.push_back(cpus);  // some have memory only
  }
  return nodes;
}

std::vector<CpuSet> spread_over_numa(int vms, int cpus_per_vm, const CpuSet& allowed,
                                     const std::vector<CpuSet>& numa) {
  struct Home {
    CpuSet cpus;
    std::size_t vms = 0;
    /// VMs for each CPU, once one more has come; as a fraction, compared by its cross products.
    bool is_emptier_than(const Home& other) const {
      return (vms + 1) * other.cpus.size() < (other.vms + 1) * cpus.size();
    }
  };
  std::vector<Home> homes;
  for (const CpuSet& node : numa) {
    Home home{.cpus = common(node, allowed)};
    if (home.cpus.size() >= static_cast<std::size_t>(cpus_per_vm)) homes.push_back(std::move(home));
  }
  std::vector<CpuSet> result(static_cast<std::size_t>(vms), allowed);
  if (homes.empty() || numa.size() < 2) return result;
  for (CpuSet& cpus : result) {
    Home& home = *std::ranges::min_element(homes, &Home::is_emptier_than);
    ++home.vms;
    cpus = home.cpus;
  }
  return result;
}

std::vector<std::string> cpu_lists(int vms, int cpus_per_vm, const CpuSet& allowed, const CpuSet& online,
                                   const std::vector<CpuSet>& numa) {
  std::vector<std::string> lists;
  for (const CpuSet& cpus : spread_over_numa(vms, cpus_per_vm, allowed, numa))
    lists.push_back(cpus == online ? "" : to_cpu_list(cpus));
  return lists;
}

}  // namespace vmi
