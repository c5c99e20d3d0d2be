// SPDX-License-Identifier: Apache-2.0
// Which CPUs a Launch's VMs run on: the job's, whatever its ranks are bound to, and one NUMA node's for each
// VM.
#include "launcher/launch/launch.hpp"
#include "launcher/mpi/collective.hpp"
#include "launcher/node/binding.hpp"

namespace vmi {
namespace {

using namespace std::chrono_literals;
constexpr auto kSmallStep = 120s;

}  // namespace

void Launch::bind_to_job() {
  const NodeLayout& layout = rank_.layout();
  const HostView host = HostView::real();
  const std::string mine = nlohmann::json(read_rank_cpus(host)).dump();
  std::vector<RankCpus> ranks;
  for (const std::string& text :
       all_gather(layout.node_comm, mine, rank_.waiter(kSmallStep), "the CPUs of the node's ranks"))
    ranks.push_back(nlohmann::json::parse(text).get<RankCpus>());
  const CpuSet allowed = job_cpus(ranks);

  // A failure is announced: nothing has begun that all ranks would have to agree on.
  if (!allowed.empty()) rank_.call(UseCpus{to_cpu_list(allowed)}, kSmallStep, "its CPUs");

  std::vector<const PlacedVm*> here;
  for (const PlacedVm& vm : placed_) {
    if (layout.node_of_rank[static_cast<std::size_t>(vm.rank)] == layout.node) here.push_back(&vm);
  }
  const std::vector<std::string> lists = cpu_lists(static_cast<int>(here.size()), options_.guest.cpus,
                                                   allowed, ranks.front().online, numa_cpus(host.root));
  for (std::size_t i = 0; i < here.size(); ++i) vm_cpus_[here[i]->index] = lists[i];
}

}  // namespace vmi
