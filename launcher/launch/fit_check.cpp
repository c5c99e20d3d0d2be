// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/fit_check.hpp"

#include "cachegen/support/folder.hpp"
#include "cachegen/support/log.hpp"

#include <algorithm>

namespace vmi {
namespace {

using namespace std::chrono_literals;

constexpr auto kSmallStep = 120s;
constexpr std::size_t kMostNamed = 8;  // nodes in one message

/// The problems of one kind, a line each; empty: none.
std::string problems(const std::vector<NodeFit>& fits, std::string NodeFit::*kind) {
  std::string text;
  std::size_t found = 0;
  for (const NodeFit& fit : fits) {
    if ((fit.*kind).empty() || ++found > kMostNamed) continue;
    text += (text.empty() ? "" : "\n") + fit.*kind;
  }
  if (found > kMostNamed) text += "\nand " + std::to_string(found - kMostNamed) + " nodes more";
  return text;
}

NodeLoad load_of_node(const NodeLayout& layout, const LaunchPlan& plan, const CacheSupply& supply,
                      const NodePool& pool, const HostView& host) {
  NodeLoad load;
  load.node = layout.node_key;
  load.ranks = layout.node_ranks;
  load.vms = static_cast<int>(std::ranges::count_if(
      plan.placed, [&](const PlacedVm& vm) { return layout.node_of(vm.rank) == layout.node; }));
  const Bytes free = pool.room();
  for (const ImagePlan& image : plan.images) {
    load.cache += supply.bytes_to_come(image);
    load.filling += std::min(supply.bytes_to_fill(image), free);
    load.disk = std::max(load.disk, image.virtual_bytes);
  }
  load.node_dir = pool.folder().parent_path().string();
  load.node_dir_in_memory = is_in_memory(pool.folder());
  load.node_dir_free = free;
  load.allocation = read_allocation(host);
  return load;
}

}  // namespace

NodeFit fit_here(Rank& rank, const LaunchPlan& plan, const CacheSupply& supply, const NodePool& pool) {
  return fit_of(load_of_node(rank.layout(), plan, supply, pool, rank.host()), plan.guest);
}

FitReport collect_fits(Rank& rank, const NodeFit& mine) {
  const std::vector<std::string> all =
      rank.team().gather(nlohmann::json(mine).dump(), kSmallStep, "the nodes' allocations");
  FitReport report;
  std::string told;
  if (rank.first()) {
    // Ranks of a node share what it has; the one that finds the least speaks for it.
    report.fits.assign(static_cast<std::size_t>(rank.layout().nodes), {});
    for (std::size_t other = 0; other < all.size(); ++other) {
      NodeFit& fit = report.fits[static_cast<std::size_t>(rank.layout().node_of(static_cast<int>(other)))];
      fit = tighter(fit, nlohmann::json::parse(all[other]).get<NodeFit>());
    }
    told = nlohmann::json{problems(report.fits, &NodeFit::memory_problem),
                          problems(report.fits, &NodeFit::space_problem),
                          problems(report.fits, &NodeFit::cpu_problem)}
               .dump();
  }
  rank.team().share(told, kSmallStep, "what does not fit");
  const nlohmann::json parts = nlohmann::json::parse(told);
  parts.at(0).get_to(report.memory);
  parts.at(1).get_to(report.space);
  parts.at(2).get_to(report.cpus);
  return report;
}

FitReport look_whether_it_fits(Rank& rank, const LaunchPlan& plan, const CacheSupply& supply,
                               const NodePool& pool, bool always) {
  NodeFit mine;
  const std::optional<Error> failure = attempt([&] { mine = fit_here(rank, plan, supply, pool); });
  const bool asked = always || !mine.fits();
  if (rank.team().agree_on(failure, asked ? 1 : 0, kSmallStep, "looking at the allocation") == 0) return {};
  return collect_fits(rank, mine);
}

void demand_room(const Rank& rank, const FitReport& report, Overcommit overcommit) {
  for (const std::string& text : {report.memory, report.space}) {
    if (text.empty()) continue;
    if (overcommit != Overcommit::all)
      throw AgreedError(ExitStatus::environment, "the VMs do not fit: " + text);
    if (rank.first()) log_warning("the VMs may not fit: " + text);
  }
}

void demand_cpus(const Rank& rank, const FitReport& report, Overcommit overcommit) {
  if (report.cpus.empty()) return;
  if (overcommit == Overcommit::none) {
    throw AgreedError(ExitStatus::environment,
                      "the VMs do not fit: " + report.cpus + ", or say --overcommit cpus");
  }
  // Outside a job nobody has asked for CPUs, so that nobody can have asked for too few.
  if (rank.first() && report.fits.front().allocation.in_slurm)
    log_warning("the VMs share CPUs: " + report.cpus);
}

}  // namespace vmi
