// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/launch_plan.hpp"

#include "cachegen/guest/block_chain.hpp"
#include "cachegen/guest/qemu_lookup.hpp"
#include "cachegen/support/log.hpp"
#include "launcher/launch/letter.hpp"

#include <algorithm>

namespace vmi {
namespace {

using namespace std::chrono_literals;
constexpr auto kSmallStep = 120s;

ImagePlan plan_of(const InspectedImage& found, int index) {
  ImagePlan image;
  image.index = index;
  image.url = found.url;
  image.format = found.format;
  image.virtual_bytes = found.virtual_bytes;
  image.identity = found.identity;
  image.single_local_file = found.single_local_file;
  return image;
}

/// The first rank warns for all.
ProbeHypervisor probe_of(const LaunchOptions& options, Accel accel, bool first) {
  return {.qemu = options.guest.qemu,
          .accel = to_text(accel),
          .machine = to_text(options.guest.machine),
          .cpu_model = options.guest.cpu_model,
          .backend = options.backend,
          .warns = first};
}

/// What rank 0 decides for all: zero, images, and the accelerator, which is as its own node has it.
void look_for_all(Rank& rank, const LaunchOptions& options, LaunchPlan& plan) {
  const Pending<ProbeHypervisor> probe = rank.ask(probe_of(options, options.guest.accel, true));
  std::vector<Pending<InspectImage>> looks;
  for (const ImageRequest& image : options.images) looks.push_back(rank.ask(InspectImage{.url = image.url}));
  plan.hypervisor = rank.await(probe, kSmallStep, "its look at QEMU and libvirt");
  for (std::size_t i = 0; i < looks.size(); ++i) {
    const std::string what = "its look at image '" + options.images[i].url + "'";
    plan.images.push_back(plan_of(rank.await(looks[i], kSmallStep, what), static_cast<int>(i)));
  }
}

std::string to_told(const LaunchPlan& plan) {
  return nlohmann::json{
      {"zero_ns", plan.clock.zero_ns()}, {"images", plan.images}, {"accel", plan.hypervisor.accel}}
      .dump();
}

/// This rank's node; what fails is agreed on by the caller.
void look_around(Rank& rank, const LaunchOptions& options, LaunchPlan& plan) {
  if (!rank.first()) {
    plan.hypervisor =
        rank.call(probe_of(options, plan.guest.accel, false), kSmallStep, "its look at QEMU and libvirt");
  }
  if (!options.dry_run) {
    // The hypervisor gets ready while the stages up to `prepare` go on; Prepare says what fails.
    rank.ask(Warm{.backend = options.backend,
                  .qemu = options.guest.qemu,
                  .accel = to_text(plan.guest.accel),
                  .machine = to_text(options.guest.machine)});
  }
  const QemuFacts qemu{.path = plan.hypervisor.qemu,
                       .version = plan.hypervisor.qemu_version,
                       .has_vmicache = plan.hypervisor.has_vmicache};
  plan.driver = resolve_driver(options.driver, qemu, options.cache->fills);
  if (rank.first() && options.driver == Driver::automatic && options.cache->uses_cache()) {
    if (const std::string warning = stock_qemu_warning(qemu); !warning.empty()) log_warning(warning);
  }
  if (rank.first() && options.cache->fills && plan.driver == Driver::copy_on_read) {
    log_warning(
        "stock QEMU's copy-on-read fills the cache: it knows no quota, and a full --node-dir fails the "
        "guest");
  }
  plan.node_folder =
      rank.call(OpenNodeFolder{options.node_dir.string()}, kSmallStep, "a folder in --node-dir").path;
}

/// On rank 0: what to add to each rank's clock.
std::vector<std::int64_t> offsets_of_all(Team& team, const ClockOffset& mine) {
  std::vector<std::int64_t> offsets(static_cast<std::size_t>(team.layout().ranks), 0);
  if (team.layout().one_clock) return offsets;
  const std::vector<std::string> told =
      team.gather(std::to_string(mine.offset_ns), kSmallStep, "the clocks' offsets");
  std::ranges::transform(told, offsets.begin(), [](const std::string& text) { return std::stoll(text); });
  return offsets;
}

void report(Rank& rank, const LaunchOptions& options, const LaunchPlan& plan,
            const std::vector<std::int64_t>& offsets_ns) {
  std::vector<VmRow> rows;
  for (const PlacedVm& vm : plan.placed) {
    VmRow row;
    row.name = vm.name;
    row.rank = vm.rank;
    row.node = rank.layout().node_of(vm.rank);
    row.image = plan.image_of(vm).url;
    rows.push_back(std::move(row));
  }
  RunAttributes known;
  known.mpi_library = rank.team().version();
  known.qemu_version = plan.hypervisor.qemu_version;
  known.libvirt_version = plan.hypervisor.libvirt_version;
  known.backend = to_text(plan.hypervisor.backend);
  known.accel = plan.hypervisor.accel;
  known.cpu_model = cpu_model_of(plan.guest);
  known.driver = to_text(plan.driver);
  known.vms = static_cast<std::int64_t>(plan.placed.size());
  known.nodes = rank.layout().nodes;
  rank.reporter().plan(rows, known, offsets_ns);
  for (const ImagePlan& image : plan.images) {
    ImageRow row;
    row.url = image.url;
    row.format = image.format;
    row.virtual_bytes = static_cast<std::int64_t>(image.virtual_bytes);
    row.mode = options.cache->name;
    if (options.cache->fills) row.quota = static_cast<std::int64_t>(options.quota);
    rank.reporter().image(row);
  }
}

void post_node(Rank& rank, const ClockOffset& offset) {
  if (!rank.layout().leader) return;
  NodeRow row;
  row.node = rank.layout().node;
  row.hostname = rank.layout().hostname;
  row.ranks = rank.layout().node_ranks;
  row.clock_offset_s = static_cast<double>(-offset.offset_ns) * 1e-9;
  row.clock_error_s = static_cast<double>(offset.error_ns) * 1e-9;
  row.cache_source = "none";
  rank.team().post(node_letter(row));
}

}  // namespace

int LaunchPlan::first_vm_on(const NodeLayout& layout, const ImagePlan& image) const {
  const auto first = std::ranges::find_if(placed, [&](const PlacedVm& vm) {
    return vm.image == image.index && layout.node_of(vm.rank) == layout.node;
  });
  return first == placed.end() ? -1 : first->index;
}

LaunchPlan plan_launch(Rank& rank, const LaunchOptions& options, const LaunchClock& clock) {
  Team& team = rank.team();
  LaunchPlan plan;
  plan.clock = clock;
  plan.guest = options.guest;
  std::optional<Error> failure;
  std::string told;
  if (rank.first()) {
    failure = attempt([&] { look_for_all(rank, options, plan); });
    told = to_told(plan);
  }
  team.tell(failure, told, kSmallStep, "planning");
  const nlohmann::json heard = nlohmann::json::parse(told);
  if (!rank.first()) {
    plan.clock = LaunchClock::of(heard.at("zero_ns"));
    plan.images = heard.at("images").get<std::vector<ImagePlan>>();
  }
  plan.guest.accel = parse_name<Accel>(heard.at("accel").get<std::string>());
  failure = attempt([&] { look_around(rank, options, plan); });
  team.agree(failure, kSmallStep, "looking at the environment");

  plan.placed = place_vms(options, rank.layout().node_of_rank);
  rank.vms().placed = static_cast<int>(std::ranges::count(plan.placed, rank.layout().rank, &PlacedVm::rank));
  const ClockOffset offset = team.measure_clock(kSmallStep);
  plan.offset_ns = offset.offset_ns;
  report(rank, options, plan, offsets_of_all(team, offset));
  post_node(rank, offset);
  return plan;
}

}  // namespace vmi
