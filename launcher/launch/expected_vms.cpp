// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/expected_vms.hpp"

#include "cachegen/cache/image.hpp"
#include "cachegen/support/folder.hpp"
#include "launcher/launch/image_plan.hpp"
#include "launcher/launch/placement.hpp"
#include "launcher/launch/vm_spec.hpp"
#include "launcher/mpi/nodes.hpp"
#include "launcher/node/binding.hpp"
#include "launcher/node/fit.hpp"
#include "launcher/node/node_pool.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>

namespace vmi {
namespace {

int number_of(const HostView& host, const char* variable) {
  const std::string text = host.variable(variable);
  int number = -1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// This rank, and how many there are.
struct Seat {
  int rank = 0;
  int ranks = 0;
};

/// Nothing where nodes may have several ranks, or none, or where others than srun have numbered them.
std::optional<Seat> only_rank_of_its_node(const HostView& host) {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "SLURM_HET_SIZE", "VMILAUNCH_NODE_KEY"}) {
    if (!host.variable(variable).empty()) return std::nullopt;
  }
  const Seat seat{number_of(host, "SLURM_PROCID"), number_of(host, "SLURM_STEP_NUM_TASKS")};
  if (seat.rank < 0 || seat.rank >= seat.ranks) return std::nullopt;
  if (number_of(host, "SLURM_STEP_NUM_NODES") != seat.ranks || number_of(host, "SLURM_NODEID") != seat.rank)
    return std::nullopt;
  return seat;
}

std::optional<std::vector<ImagePlan>> images_last_used(const LaunchOptions& options) {
  const NodePool pool(options.node_dir, options.node_budget);
  std::vector<ImagePlan> images;
  for (const ImageRequest& image : options.images) {
    const std::optional<NodePool::LastUsed> last = pool.last_used_for(image_url(image.url));
    if (!last) return std::nullopt;
    ImagePlan plan;
    plan.url = last->image.url;
    plan.format = last->image.format;
    plan.virtual_bytes = last->image.virtual_bytes;
    plan.local = pool.path_of(last->cache);
    images.push_back(std::move(plan));
  }
  return images;
}

}  // namespace

std::optional<ExpectedVms> expect_vms(const LaunchOptions& options, const HostView& host) {
  if (options.dry_run || !uses_the_pool(options)) return std::nullopt;
  const std::optional<Seat> seat = only_rank_of_its_node(host);
  if (!seat) return std::nullopt;
  const std::optional<std::vector<ImagePlan>> images = images_last_used(options);
  if (!images) return std::nullopt;

  std::vector<int> node_of_rank(static_cast<std::size_t>(seat->ranks));
  std::iota(node_of_rank.begin(), node_of_rank.end(), 0);
  std::vector<PlacedVm> placed = place_vms(options, node_of_rank);
  std::erase_if(placed, [&](const PlacedVm& vm) { return vm.rank != seat->rank; });

  GuestSpec guest = options.guest;
  guest.accel = likely_accel(guest.accel);
  ExpectedVms expected{.allocation = read_allocation(host)};
  NodeLoad load;
  load.node = own_node_key();
  load.ranks = 1;
  load.vms = static_cast<int>(placed.size());
  for (const ImagePlan& image : *images) load.disk = std::max(load.disk, image.virtual_bytes);
  load.node_dir = options.node_dir.string();
  load.node_dir_in_memory = is_in_memory(options.node_dir);
  load.node_dir_free = free_bytes(options.node_dir);
  load.allocation = expected.allocation;
  if (!fit_of(load, guest).fits()) return std::nullopt;

  const RankCpus mine = read_rank_cpus(host);
  const CpuSet allowed = job_cpus({mine});
  if (!allowed.empty()) expected.cpus = to_cpu_list(allowed);
  const std::vector<std::string> cpus =
      cpu_lists(load.vms, guest.cpus, allowed, mine.online, numa_cpus(host.root));
  expected.request.backend = options.backend;
  expected.request.node_dir = options.node_dir.string();
  for (std::size_t i = 0; i < placed.size(); ++i) {
    const ImagePlan& image = (*images)[static_cast<std::size_t>(placed[i].image)];
    expected.request.vms.push_back(vm_spec(options, image, placed[i], guest, options.driver, cpus[i]));
  }
  return expected;
}

}  // namespace vmi
