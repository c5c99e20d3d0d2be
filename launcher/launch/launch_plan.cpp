// SPDX-License-Identifier: Apache-2.0
// The stages of a Launch before anything moves: what there is to start, where, and from which caches.
#include "cachegen/cache/cache_file.hpp"
#include "cachegen/guest/block_chain.hpp"
#include "cachegen/guest/qemu_lookup.hpp"
#include "cachegen/profile/trace_file.hpp"
#include "cachegen/support/hash.hpp"
#include "launcher/desk/desk.hpp"
#include "launcher/launch/launch.hpp"
#include "launcher/mpi/clock.hpp"
#include "launcher/mpi/collective.hpp"

#include <algorithm>
#include <iostream>

#include <fcntl.h>

namespace vmi {
namespace {

using namespace std::chrono_literals;
constexpr auto kSmallStep = 120s;

ImagePlan plan_of(const nlohmann::json& info, int index) {
  ImagePlan image;
  image.index = index;
  info.at("url").get_to(image.url);
  info.at("format").get_to(image.format);
  info.at("virtual_bytes").get_to(image.virtual_bytes);
  info.at("identity").get_to(image.identity);
  image.single_local_file = info.at("local") && info.at("backing_chain").empty();
  return image;
}

std::string mpi_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string whole(text, static_cast<std::size_t>(length));
  return whole.substr(0, whole.find_first_of(",\n"));
}

}  // namespace

void Launch::plan() {
  // Asked now, so that the supervisor looks while this rank does something else. Rank 0 chooses the
  // accelerator, and warns of the slow one; the others do not look for themselves.
  const std::uint64_t environment = rank_.first()
                                        ? ask_environment(options_.guest.accel, options_.guest.cpu_model)
                                        : ask_environment(Accel::tcg, "");
  std::vector<std::uint64_t> looks;
  if (rank_.first()) {
    for (const ImageRequest& image : options_.images)
      looks.push_back(rank_.ask(InspectImage{.url = image.url}));
  }
  std::optional<Error> failure;
  if (rank_.first() && !options_.dry_run) {
    failure = attempt([&] {
      desk_ = std::make_unique<Desk>(options_, clock_, command_line_, rank_.layout().ranks);
      rank_.on_letter = [this](int from, const nlohmann::json& letter) { desk_->take(from, letter); };
      rank_.on_pump = [this] { desk_->tick(); };
      rank_.on_progress = [this](const Progress& progress) { desk_->progress().update(progress.text); };
      desk_->phase("plan", "planning");
      rank_.call(KeepRecord{desk_->journal().path().string()}, kSmallStep, "its note of the record");
    });
  }
  std::string told;
  if (rank_.first() && !failure) {
    failure = attempt([&] {
      take_environment(environment);
      for (std::size_t i = 0; i < options_.images.size(); ++i) {
        const std::string what = "its look at image '" + options_.images[i].url + "'";
        images_.push_back(plan_of(rank_.await(looks[i], kSmallStep, what).result, static_cast<int>(i)));
      }
    });
    told = nlohmann::json{{"zero_ns", clock_.zero_ns()}, {"images", images_}, {"accel", environment_.accel}}
               .dump();
  }
  tell(rank_.world(), failure, told, rank_.waiter(kSmallStep), "planning");
  const nlohmann::json plan = nlohmann::json::parse(told);
  if (!rank_.first()) {
    clock_ = LaunchClock::of(plan.at("zero_ns"));
    images_ = plan.at("images").get<std::vector<ImagePlan>>();
  }
  look_around(parse_name<Accel>(plan.at("accel").get<std::string>()), environment);

  placed_ = place_vms(options_, rank_.layout().node_of_rank);
  rank_.vms().placed = static_cast<int>(std::ranges::count(placed_, rank_.rank(), &PlacedVm::rank));

  const ClockOffset offset = measure_clock(rank_.layout(), rank_.waiter(kSmallStep));
  offset_ns_ = offset.offset_ns;
  std::vector<std::int64_t> offsets_ns(static_cast<std::size_t>(rank_.layout().ranks), 0);
  if (!rank_.layout().one_clock) {
    const std::vector<std::string> offsets = gather(rank_.world(), std::to_string(offset.offset_ns), 0,
                                                    rank_.waiter(kSmallStep), "the clocks' offsets");
    std::ranges::transform(offsets, offsets_ns.begin(),
                           [](const std::string& text) { return std::stoll(text); });
  }
  if (desk_) {
    desk_->clock_offsets(std::move(offsets_ns));
    tell_desk_the_plan();
  }
  if (rank_.layout().leader) {
    NodeRow row;
    row.node = rank_.layout().node;
    row.hostname = rank_.layout().hostname;
    row.ranks = rank_.layout().node_comm.size();
    row.clock_offset_s = static_cast<double>(-offset.offset_ns) * 1e-9;
    row.clock_error_s = static_cast<double>(offset.error_ns) * 1e-9;
    row.cache_source = "none";
    rank_.post(node_letter(row));
  }
}

std::uint64_t Launch::ask_environment(Accel accel, const std::string& cpu_model) {
  return rank_.ask(ProbeEnvironment{.qemu = options_.guest.qemu,
                                    .accel = to_text(accel),
                                    .machine = to_text(options_.guest.machine),
                                    .cpu_model = cpu_model,
                                    .backend = options_.backend});
}

void Launch::take_environment(std::uint64_t request) {
  environment_ = environment_of(rank_.await(request, kSmallStep, "its look at QEMU and libvirt"));
}

void Launch::look_around(Accel accel, std::uint64_t environment) {
  guest_ = options_.guest;
  guest_.accel = accel;

  looked_failure_ = attempt([&] {
    if (!rank_.first()) take_environment(environment);
    const std::string& cpu_model = options_.guest.cpu_model;
    if (to_text(accel) != environment_.accel || (!rank_.first() && !cpu_model.empty()))
      take_environment(ask_environment(accel, cpu_model));
    if (!options_.dry_run) {
      // Nobody waits for the reply: VMs are prepared later, and what fails here fails there.
      rank_.ask(Warm{.backend = environment_.backend,
                     .qemu = options_.guest.qemu,
                     .accel = to_text(accel),
                     .machine = to_text(options_.guest.machine)});
    }
    const QemuFacts qemu{.path = environment_.qemu,
                         .version = environment_.qemu_version,
                         .has_vmicache = environment_.has_vmicache};
    driver_ = resolve_driver(options_.driver, qemu, options_.cache == CacheMode::cold);
    if (rank_.first() && options_.driver == Driver::automatic && options_.cache != CacheMode::none) {
      if (const std::string warning = stock_qemu_warning(qemu); !warning.empty()) log_warning(warning);
    }
    if (rank_.first() && options_.cache == CacheMode::cold && driver_ == Driver::copy_on_read) {
      log_warning(
          "stock QEMU's copy-on-read fills the cache: it knows no quota, and a full --node-dir fails the "
          "guest");
    }
    node_pool_.emplace(options_.node_dir, options_.node_budget);
    node_folder_ =
        rank_.call(OpenNodeFolder{options_.node_dir.string()}, kSmallStep, "a folder in --node-dir")
            .result.at("folder")
            .get<std::string>();
  });
}

void Launch::print_dry_run() {
  if (!rank_.first()) return;
  const PlacedVm& shown = placed_.front();
  const std::string domain =
      rank_
          .call(Describe{environment_.backend, options_.node_dir.string(), spec_of(shown)}, kSmallStep,
                "a domain's description")
          .result.at("text");
  if (options_.json) {
    nlohmann::json vms = nlohmann::json::array();
    for (const PlacedVm& vm : placed_) {
      vms.push_back({{"name", vm.name},
                     {"rank", vm.rank},
                     {"node", rank_.layout().node_of_rank[static_cast<std::size_t>(vm.rank)]},
                     {"image", images_[static_cast<std::size_t>(vm.image)].url}});
    }
    std::cout << nlohmann::json{{"vms", vms},
                                {"nodes", rank_.layout().node_keys},
                                {"driver", to_text(driver_)},
                                {"accel", environment_.accel},
                                {"cpu_model", cpu_model_of(guest_)},
                                {"fits", fits_},
                                {"domain", domain}}
                     .dump(2)
              << "\n";
    return;
  }
  std::cout << placed_.size() << " VMs on " << rank_.layout().nodes << " nodes, " << rank_.layout().ranks
            << " ranks; backend " << to_text(environment_.backend) << ", accelerator " << environment_.accel
            << ", CPU " << cpu_model_of(guest_) << ", driver " << to_text(driver_) << ", cache "
            << to_text(options_.cache) << "\n";
  for (int rank = 0; rank < rank_.layout().ranks; ++rank) {
    const int node = rank_.layout().node_of_rank[static_cast<std::size_t>(rank)];
    std::cout << "  rank " << rank << " on " << rank_.layout().node_keys[static_cast<std::size_t>(node)]
              << ": " << std::ranges::count(placed_, rank, &PlacedVm::rank) << " VMs\n";
  }
  for (const NodeFit& fit : fits_) std::cout << "  node " << fit.node << ": " << fit.text() << "\n";
  if (options_.cache == CacheMode::automatic) {
    std::cout << "  on each node, the boot cache comes on top: at most " << format_size(options_.quota)
              << "\n";
  }
  std::cout << "\n" << shown.name << ":\n" << domain << "\n";
}

void Launch::tell_desk_the_plan() {
  std::vector<VmRow> rows;
  for (const PlacedVm& vm : placed_) {
    VmRow row;
    row.name = vm.name;
    row.rank = vm.rank;
    row.node = rank_.layout().node_of_rank[static_cast<std::size_t>(vm.rank)];
    row.image = images_[static_cast<std::size_t>(vm.image)].url;
    rows.push_back(std::move(row));
  }
  desk_->plan(std::move(rows));

  RunAttributes attributes;
  attributes.mpi_library = mpi_library();
  attributes.qemu_version = environment_.qemu_version;
  attributes.libvirt_version = environment_.libvirt_version;
  attributes.backend = to_text(environment_.backend);
  attributes.accel = environment_.accel;
  attributes.cpu_model = cpu_model_of(guest_);
  attributes.driver = to_text(driver_);
  attributes.vms = static_cast<std::int64_t>(placed_.size());
  attributes.nodes = rank_.layout().nodes;
  desk_->journal().attributes(attributes);
  for (const ImagePlan& image : images_) {
    ImageRow row;
    row.url = image.url;
    row.format = image.format;
    row.virtual_bytes = static_cast<std::int64_t>(image.virtual_bytes);
    row.mode = to_text(options_.cache);
    if (options_.cache == CacheMode::cold) row.quota = static_cast<std::int64_t>(options_.quota);
    desk_->journal().image(row);
  }
}

void Launch::find_caches() {
  if (options_.cache == CacheMode::none || options_.cache == CacheMode::cold) return;
  std::string told;
  std::optional<Error> failure;
  if (rank_.first()) {
    desk_->phase("cache",
                 options_.cache == CacheMode::automatic ? "looking for the boot cache" : "opening the cache");
    failure = attempt([&] {
      for (ImagePlan& image : images_) {
        if (options_.cache == CacheMode::full) {
          take_whole_image(image);
        } else {
          find_cache(image);
        }
      }
    });
    told = nlohmann::json(images_).dump();
  }
  // A profile may take as long as its boots may, and as long again when another launch makes the same one.
  const auto longest = 2 * options_.profile_runs * (options_.timeout + 120s) + 600s;
  tell(rank_.world(), failure, told, rank_.waiter(longest), "finding the boot cache");
  if (!rank_.first()) images_ = nlohmann::json::parse(told).get<std::vector<ImagePlan>>();
}

/// Profiles write the boot trace here; its rows then go into the record.
fs::path Launch::trace_file(const ImagePlan& image) const {
  return node_folder_ / ("trace-" + std::to_string(image.index) + ".h5");
}

BuildRequest Launch::build_request(const ImagePlan& image) const {
  BuildRequest request = vmi::build_request(options_, image.url);
  request.guest = guest_;
  request.trace_out = trace_file(image);
  return request;
}

void Launch::find_cache(ImagePlan& image) {
  const auto longest = 2 * options_.profile_runs * (options_.timeout + 120s) + 300s;
  if (options_.cache == CacheMode::path) {
    image.payload = options_.cache_path;
  } else {
    const std::string what = "the boot cache of '" + image.url + "'";
    const Reply reply = rank_.call(FindCache{to_json(build_request(image))}, longest, what);
    image.payload = reply.result.at("path").get<std::string>();
    if (reply.result.at("built")) desk_->journal().boot_trace(read_boot_trace(trace_file(image)));
  }
  // The store's caches were sampled when they were found.
  const bool sampled = options_.cache == CacheMode::automatic && options_.verify == VerifyChoice::sample;
  if (options_.verify != VerifyChoice::none && !sampled) {
    const VerifyCache request{image.payload.string(), image.url, options_.verify == VerifyChoice::full};
    const nlohmann::json result = rank_.call(request, longest, "the check of the boot cache").result;
    for (const nlohmann::json& warning : result.value("warnings", nlohmann::json::array()))
      log_warning(warning.get<std::string>());
    const std::vector<std::string> findings = result.at("findings");
    if (!findings.empty()) {
      throw Error(ExitStatus::unusable, "cache '" + image.payload.string() + "' cannot be used with image '" +
                                            image.url + "': " + findings.front() +
                                            "; build it anew with vmicache build, or use --cache auto");
    }
  }
  const CacheFile cache = CacheFile::open(image.payload);
  image.hashes = cache.chunk_hashes();
  image.digest = digest_of(image.hashes);
  image.payload_bytes = cache.file_bytes();
  image.metadata_bytes = cache.metadata_bytes();
  if (cache.sealed()) {
    for (const std::string& difference : profile_differences(cache.facts(), build_request(image)))
      log_warning("cache '" + image.payload.string() + "' is of a guest with " + difference +
                  "; what its VMs read besides comes from the image");
  }
  ImageRow row;
  row.url = image.url;
  row.base_identity = cache.sealed() ? cache.base().digest : "";
  row.cache_digest = image.digest;
  row.cached_bytes = static_cast<std::int64_t>(cache.cached_bytes());
  row.file_bytes = static_cast<std::int64_t>(cache.file_bytes());
  row.quota = static_cast<std::int64_t>(cache.quota());
  desk_->journal().image(row);
}

void Launch::take_whole_image(ImagePlan& image) {
  if (!image.single_local_file) {
    throw Error(ExitStatus::unusable, "--cache full sends the image's file, and '" + image.url +
                                          "' is not a single local file; use --cache auto instead");
  }
  image.payload = image.url;
  const Fd file = open_file(image.payload, O_RDONLY, 0, ExitStatus::unusable);
  image.payload_bytes = fs::file_size(image.payload);
  // An image's tables lie anywhere, and QEMU keeps what it reads of them: it must not open a part of the
  // file.
  image.metadata_bytes = image.payload_bytes;
  image.hashes = chunk_hashes(file, image.payload_bytes);
  image.digest = digest_of(image.hashes);
}

}  // namespace vmi
