// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/allocation.hpp"

#include "launcher/node/cgroup.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>

#include <sys/resource.h>

namespace vmi {
namespace {

/// Positive whole numbers; 0 for everything else. (`--mem=0` means all of the node's memory.)
std::uint64_t number_of(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() ? number : 0;
}

std::string without_root(const fs::path& path, const fs::path& root) {
  return "/" + path.lexically_relative(root).string();
}

/// Keeps the smallest of what is offered.
struct Least {
  double value = std::numeric_limits<double>::infinity();
  std::string source;
  void offer(double other, std::string its_source) {
    if (other >= value) return;
    value = other;
    source = std::move(its_source);
  }
};

/// Slurm's variables are in MiB. False: it does not say.
bool offer_slurms_word(const HostView& host, Least& least) {
  if (host.variable("SLURM_JOB_ID").empty()) return false;
  const auto offer = [&](std::uint64_t bytes, const char* source) {
    if (bytes > 0) least.offer(static_cast<double>(bytes), source);
  };
  const std::uint64_t cpus = number_of(host.variable("SLURM_CPUS_ON_NODE"));
  offer(number_of(host.variable("SLURM_MEM_PER_NODE")) * MiB, "SLURM_MEM_PER_NODE");
  offer(number_of(host.variable("SLURM_MEM_PER_CPU")) * cpus * MiB, "SLURM_MEM_PER_CPU x SLURM_CPUS_ON_NODE");
  offer(host.rss_limit, "the step's memory, by ulimit -m");
  return !least.source.empty();
}

Bytes memory_available(const fs::path& root) {
  std::ifstream lines(root / "proc/meminfo");
  std::string name;
  for (Bytes kib = 0; lines >> name >> kib; lines.ignore(80, '\n')) {
    if (name == "MemAvailable:") return kib * KiB;
  }
  return 0;
}

void read_memory(const HostView& host, const Cgroups& cgroups, Allocation& allocation) {
  Least least;
  const bool promised = offer_slurms_word(host, least);
  if (const std::optional<MemoryLimit> limit = cgroups.memory()) {
    least.offer(static_cast<double>(limit->room), "what the control group " +
                                                      without_root(limit->folder, host.root) +
                                                      " has left of " + format_size(limit->limit));
  }
  if (const Bytes available = memory_available(host.root); available > 0 && !promised)
    least.offer(static_cast<double>(available), "MemAvailable of the machine");
  if (least.source.empty()) return;
  allocation.memory = static_cast<Bytes>(least.value);
  allocation.memory_source = least.source;
}

void read_cpus(const HostView& host, const Cgroups& cgroups, Allocation& allocation) {
  Least least;
  if (const std::uint64_t cpus = number_of(host.variable("SLURM_CPUS_ON_NODE")); cpus > 0)
    least.offer(static_cast<double>(cpus), "SLURM_CPUS_ON_NODE");
  if (const CpuSet cpus = cgroups.cpus(); !cpus.empty())
    least.offer(static_cast<double>(cpus.size()), "its cpuset " + to_cpu_list(cpus));
  if (const std::optional<double> quota = cgroups.cpu_quota())
    least.offer(std::ceil(*quota), "its control group's CPU quota");
  std::ifstream online(host.root / "sys/devices/system/cpu/online");
  std::string list;
  if (online >> list)
    least.offer(static_cast<double>(parse_cpu_list(list).size()), "the machine's CPUs " + list);
  if (least.source.empty()) return;
  allocation.cpus = static_cast<int>(least.value);
  allocation.cpus_source = least.source;
}

}  // namespace

HostView HostView::real() {
  HostView host;
  host.variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  rlimit limit{};
  if (getrlimit(RLIMIT_RSS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) host.rss_limit = limit.rlim_cur;
  return host;
}

Allocation read_allocation(const HostView& host) {
  Allocation allocation;
  allocation.in_slurm = !host.variable("SLURM_JOB_ID").empty();
  const Cgroups cgroups(host.root);
  read_memory(host, cgroups, allocation);
  read_cpus(host, cgroups, allocation);
  return allocation;
}

}  // namespace vmi
