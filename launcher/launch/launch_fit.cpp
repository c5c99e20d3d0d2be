// SPDX-License-Identifier: Apache-2.0
// Whether what a Launch is about to start fits into what each node's allocation gives. Asked before anything
// is profiled or sent, and once more when the caches' sizes are known.
#include "cachegen/support/folder.hpp"
#include "launcher/desk/desk.hpp"
#include "launcher/launch/launch.hpp"
#include "launcher/mpi/collective.hpp"

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

}  // namespace

/// Bytes of a cache that this node will get.
Bytes Launch::cache_to_come(const ImagePlan& image) const {
  if (image.payload.empty() || options_.placement == Placement::shared || !boots_here(image)) return 0;
  return node_pool_->has(image.digest) ? 0 : image.payload_bytes;
}

NodeLoad Launch::load_of_this_node() const {
  const NodeLayout& layout = rank_.layout();
  NodeLoad load;
  load.node = layout.node_key;
  load.ranks = static_cast<int>(std::ranges::count(layout.node_of_rank, layout.node));
  load.vms = static_cast<int>(std::ranges::count_if(placed_, [&](const PlacedVm& vm) {
    return layout.node_of_rank[static_cast<std::size_t>(vm.rank)] == layout.node;
  }));
  const Bytes free = node_pool_->room();
  for (const ImagePlan& image : images_) {
    load.cache += cache_to_come(image);
    if (options_.cache == CacheMode::cold && boots_here(image))
      load.filling += std::min({options_.quota, image.virtual_bytes, free});
    load.disk = std::max(load.disk, image.virtual_bytes);
  }
  load.node_dir = options_.node_dir.string();
  load.node_dir_in_memory = is_in_memory(options_.node_dir);
  load.node_dir_free = free;
  load.allocation = read_allocation(HostView::real());
  return load;
}

/// What this rank finds; where all ranks find that all fits, nobody asks for the numbers.
NodeFit Launch::fit_here() const {
  return fit_of(load_of_this_node(), guest_);
}

/// Collects what all nodes find. Called by all ranks, when any of them has found that something does not fit.
void Launch::collect_fits(const NodeFit& mine) {
  const std::vector<std::string> all = gather(rank_.world(), nlohmann::json(mine).dump(), 0,
                                              rank_.waiter(kSmallStep), "the nodes' allocations");
  std::string told;
  if (rank_.first()) {
    // Ranks of a node share what it has; the one that finds the least speaks for it.
    fits_.assign(static_cast<std::size_t>(rank_.layout().nodes), {});
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
      NodeFit& fit = fits_[static_cast<std::size_t>(rank_.layout().node_of_rank[rank])];
      fit = tighter(fit, nlohmann::json::parse(all[rank]).get<NodeFit>());
    }
    told = nlohmann::json{problems(fits_, &NodeFit::memory_problem), problems(fits_, &NodeFit::space_problem),
                          problems(fits_, &NodeFit::cpu_problem)}
               .dump();
  }
  broadcast(rank_.world(), told, 0, rank_.waiter(kSmallStep), "what does not fit");
  const nlohmann::json parts = nlohmann::json::parse(told);
  misfits_ = {parts.at(0), parts.at(1), parts.at(2)};
}

void Launch::look_whether_it_fits() {
  NodeFit mine;
  std::optional<Error> failure = looked_failure_;
  const char* const stage = failure ? "looking at the environment" : "looking at the allocation";
  if (!failure) failure = attempt([&] { mine = fit_here(); });
  const bool asked = options_.dry_run || !mine.fits();
  if (agree_on(rank_.world(), failure, asked ? 1 : 0, rank_.waiter(kSmallStep), stage) != 0)
    collect_fits(mine);
}

void Launch::demand_room() const {
  for (const std::string& text : {misfits_.memory, misfits_.space}) {
    if (text.empty()) continue;
    if (options_.overcommit != Overcommit::all)
      throw AgreedError(ExitStatus::environment, "the VMs do not fit: " + text);
    if (rank_.first()) log_warning("the VMs may not fit: " + text);
  }
}

void Launch::demand_cpus() const {
  const std::string& text = misfits_.cpus;
  if (text.empty()) return;
  if (options_.overcommit == Overcommit::none)
    throw AgreedError(ExitStatus::environment, "the VMs do not fit: " + text + ", or say --overcommit cpus");
  // Outside a job nobody has asked for CPUs, so that nobody can have asked for too few.
  if (rank_.first() && fits_.front().allocation.in_slurm) log_warning("the VMs share CPUs: " + text);
}

}  // namespace vmi
