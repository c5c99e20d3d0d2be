// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/bind.hpp"

namespace vmi {
namespace {

using namespace std::chrono_literals;
constexpr auto kSmallStep = 120s;

std::vector<RankCpus> cpus_of_node(Team& team, const HostView& host) {
  const std::string mine = nlohmann::json(read_rank_cpus(host)).dump();
  std::vector<RankCpus> ranks;
  for (const std::string& text : team.gather_on_node(mine, kSmallStep, "the CPUs of the node's ranks"))
    ranks.push_back(nlohmann::json::parse(text).get<RankCpus>());
  return ranks;
}

}  // namespace

VmCpus bind_to_job(Rank& rank, const LaunchPlan& plan) {
  const std::vector<RankCpus> ranks = cpus_of_node(rank.team(), rank.host());
  const CpuSet allowed = job_cpus(ranks);

  // A failure is announced: nothing has begun that all ranks would have to agree on.
  if (!allowed.empty()) rank.call(UseCpus{to_cpu_list(allowed)}, kSmallStep, "its CPUs");

  std::vector<int> here;
  for (const PlacedVm& vm : plan.placed) {
    if (rank.layout().node_of(vm.rank) == rank.layout().node) here.push_back(vm.index);
  }
  const std::vector<std::string> lists = cpu_lists(static_cast<int>(here.size()), plan.guest.cpus, allowed,
                                                   ranks.front().online, numa_cpus(rank.host().root));
  VmCpus cpus;
  for (std::size_t i = 0; i < here.size(); ++i) cpus[here[i]] = lists[i];
  return cpus;
}

}  // namespace vmi
