// SPDX-License-Identifier: Apache-2.0
// The stage of a Launch in which caches travel to the nodes while the VMs that will read them are created,
// paused.
#include "launcher/desk.hpp"
#include "launcher/launch.hpp"
#include "launcher/mpi/collective.hpp"
#include "launcher/mpi/distribute.hpp"

#include <algorithm>
#include <cmath>

#include <fcntl.h>
#include <unistd.h>

namespace vmi {
namespace {

using namespace std::chrono_literals;

/// A link of 1 MiB/s is the slowest that a launch waits for.
Deadline::Clock::duration patience_for(Bytes bytes) {
  return 300s + std::chrono::seconds(bytes / MiB);
}

}  // namespace

VmSpec Launch::spec_of(const PlacedVm& vm) const {
  const ImagePlan& image = images_[static_cast<std::size_t>(vm.image)];
  VmSpec spec;
  spec.index = vm.index;
  spec.name = vm.name;
  spec.virtual_bytes = image.virtual_bytes;
  spec.image_url = image.url;
  spec.image_format = image.format;
  if (options_.cache == CacheMode::full) {
    spec.image_url = image.local.string();
    spec.whole_copy = true;
  } else if (image.filler == -1 || image.filler == vm.index) {
    spec.cache = image.local.string();
  }
  spec.cache_writable = image.filler == vm.index;
  spec.quota = options_.quota;
  spec.driver = to_text(driver_);
  spec.aio = to_text(options_.aio);
  spec.guest = to_json(guest_);
  spec.ready = options_.ready.to_text();
  spec.net = options_.net;
  spec.hostname = vm.name;
  spec.kernel_args = options_.guest.kernel.empty() ? options_.guest.append : "";
  spec.ssh_key = options_.ssh_key;
  spec.user_data = options_.user_data.string();
  if (const auto cpus = vm_cpus_.find(vm.index); cpus != vm_cpus_.end()) spec.cpus = cpus->second;
  return spec;
}

void Launch::prepare_vms(const ImagePlan& image) {
  Prepare prepare;
  prepare.backend = environment_.backend;
  prepare.node_dir = options_.node_dir.string();
  prepare.failure_log_dir = logs_folder(options_.output).string();
  for (const PlacedVm& vm : placed_) {
    if (vm.rank == rank_.rank() && vm.image == image.index) prepare.vms.push_back(spec_of(vm));
  }
  if (!prepare.vms.empty()) prepares_.push_back(rank_.ask(std::move(prepare)));
}

void Launch::distribute_and_prepare() {
  if (desk_) desk_->phase("distribute", "distributing and preparing");
  std::vector<Delivery> deliveries;
  for (ImagePlan& image : images_) {
    if (options_.cache == CacheMode::cold) {
      open_node_cache(image);
    } else if (image.payload.empty()) {
      prepare_vms(image);
    } else if (options_.placement == Placement::shared) {
      deliver_shared(image);
    } else {
      deliveries.push_back(deliver(image));
    }
  }
  if (cache_row_.node != kUnknownCount) rank_.post(node_letter(cache_row_));
  std::optional<Error> failure = attempt([&] {
    for (const std::uint64_t id : prepares_) rank_.await(id, 600s, "VMs to be created");
  });
  agree(rank_.world(), failure, rank_.waiter(900s), "preparing the VMs");
  // Every VM has opened the file under its temporary name, and all ranks agreed on its content.
  failure = attempt([&] {
    for (Delivery& delivery : deliveries) keep(delivery);
  });
  agree(rank_.world(), failure, rank_.waiter(300s), "keeping the caches");
}

void Launch::keep(Delivery& delivery) {
  if (!delivery.distribution) return;
  const fs::path file = delivery.distribution->file();
  const bool kept = node_pool_->keep(file, delivery.digest,
                                     [&](const fs::path& name) { delivery.distribution->publish(name); });
  // Without a name it is gone once the VMs that have opened it end.
  if (!kept) say_not_kept(delivery.distribution->payload().name);
}

void Launch::say_not_kept(const std::string& cache) const {
  const std::string text = "'" + cache + "' is not kept on " + rank_.layout().node_key +
                           ": it does not fit within the node budget of " +
                           format_size(node_pool_->budget()) + " beside caches in use; raise --node-budget";
  // Nobody who gives nothing expects to keep something.
  log(rank_.first() && node_pool_->budget() > 0 ? LogLevel::warning : LogLevel::info, text);
}

void Launch::note_caches() {
  if (!node_pool_ || options_.placement == Placement::shared || options_.cache == CacheMode::none) return;
  const std::optional<Error> failure = attempt([&] {
    const Registry registry(options_.cache_dir);
    for (const ImagePlan& image : images_) note_cache(registry, image);
    registry.correct(rank_.layout().node_key, options_.node_dir,
                     [&](const std::string& cache) { return node_pool_->has(cache); });
  });
  // They are hints: a store that is only read is used all the same.
  if (failure) log_info(failure->what());
}

void Launch::note_cache(const Registry& registry, const ImagePlan& image) {
  const bool cold = options_.cache == CacheMode::cold;
  const std::string name = cold ? image.keep_as.filename().string() : image.digest;
  // The node's leader speaks for it, or the rank whose VM has filled the cache.
  if (name.empty() || !node_pool_->has(name) || !(rank_.layout().leader || image.filler != -1)) return;
  const Bytes bytes = cold ? fs::file_size(node_pool_->path_of(name)) : image.payload_bytes;
  if (rank_.first() || cold)
    registry.describe({.name = name, .image = image.url, .identity = image.identity, .bytes = bytes});
  registry.add(name, rank_.layout().node_key, options_.node_dir);
}

void Launch::add_to_cache_row(const NodeRow& image) {
  // Of several images, the one that moved says how the node came by its caches.
  const auto moved = [](const std::string& source) {
    return source != "none" && source != "held" && source != "shared";
  };
  NodeRow& row = cache_row_;
  row.node = rank_.layout().node;
  if (row.cache_source.empty() || (moved(image.cache_source) && !moved(row.cache_source)))
    row.cache_source = image.cache_source;
  const auto add = [](std::int64_t& sum, std::int64_t more) {
    if (more != kUnknownCount) sum = more + (sum == kUnknownCount ? 0 : sum);
  };
  add(row.wire_bytes, image.wire_bytes);
  add(row.payload_bytes, image.payload_bytes);
  // fmin and fmax pass over what is not known.
  row.t_cache_first = std::fmin(row.t_cache_first, image.t_cache_first);
  row.t_cache_last = std::fmax(row.t_cache_last, image.t_cache_last);
}

void Launch::deliver_shared(ImagePlan& image) {
  const std::optional<Error> failure = attempt([&] {
    if (!options_.cache_url.empty()) {
      if (rank_.first()) check_served(image);
      image.local = options_.cache_url;
    } else if (access(image.payload.c_str(), R_OK) != 0) {
      throw_errno(ExitStatus::unusable,
                  "cannot read '" + image.payload.string() +
                      "', which --cache-placement shared needs on every node; use --cache-placement node");
    } else {
      image.local = image.payload;
    }
    prepare_vms(image);
  });
  agree(rank_.world(), failure, rank_.waiter(120s), "opening the shared cache");
  if (rank_.layout().leader) {
    NodeRow row;
    row.cache_source = "shared";
    row.wire_bytes = 0;
    row.payload_bytes = static_cast<std::int64_t>(image.payload_bytes);
    add_to_cache_row(row);
  }
}

/// The server is trusted with the content, as an image's is; a mix-up is noticed by the size.
void Launch::check_served(const ImagePlan& image) {
  const std::string& url = options_.cache_url;
  const Reply reply = rank_.call(InspectImage{.url = url, .format = "raw"}, 60s, "its look at '" + url + "'");
  const Bytes served = reply.result.at("virtual_bytes");
  if (served == round_up(image.payload_bytes, 512)) return;  // QEMU counts sectors
  throw Error(ExitStatus::unusable, "'" + url + "' is not the cache '" + image.payload.string() +
                                        "': it has " + std::to_string(served) + " bytes, not " +
                                        std::to_string(image.payload_bytes) + "; serve that file there");
}

Launch::Delivery Launch::deliver(ImagePlan& image) {
  const NodeLayout& layout = rank_.layout();
  const Waiter waiter = rank_.waiter(patience_for(image.payload_bytes));

  std::optional<Distribution> distribution;
  DistributeHooks hooks;
  hooks.held = [&](const Payload& payload) -> std::optional<fs::path> {
    if (node_pool_->holds(payload.digest, payload.size)) return node_pool_->path_of(payload.digest);
    node_pool_->make_room(payload.bytes_to_write());
    return std::nullopt;
  };
  hooks.target = [&](const Payload& payload) { return node_folder_ / (payload.digest + ".part"); };
  // The node's other ranks wait for the name of the file that their VMs are to open.
  bool told = false;
  const auto tell_node = [&](const std::string& path) {
    std::string name = path;
    told = true;
    broadcast(layout.node_comm, name, 0, waiter, "the node's ranks to hear of the cache");
  };
  hooks.on_metadata_ready = [&] {
    image.local = distribution->file();
    tell_node(image.local.string());
    prepare_vms(image);
  };
  hooks.on_progress = [&](Bytes done, Bytes total) {
    if (desk_) {
      desk_->progress().update("distributing: " + format_size(done) + " of " + format_size(total) + ", " +
                               desk_->counters());
    }
  };

  std::optional<Outgoing> outgoing;
  std::optional<Error> failure = attempt([&] {
    if (desk_) {
      outgoing = Outgoing{{.name = image.payload.string(),
                           .size = image.payload_bytes,
                           .metadata_bytes = image.metadata_bytes,
                           .digest = image.digest,
                           .hashes = std::move(image.hashes)},
                          image.payload};
    }
    if (layout.leader)
      distribution.emplace(layout.leaders, std::move(outgoing), std::move(hooks), DistributeOptions{},
                           waiter);
  });
  agree(rank_.world(), failure, waiter, "offering the cache");

  DistributeResult result;
  failure = attempt([&] {
    if (layout.leader) {
      result = distribution->run(waiter);
    } else {
      std::string path;
      broadcast(layout.node_comm, path, 0, waiter, "the node's leader to receive the cache");
      image.local = path;
      if (!path.empty()) prepare_vms(image);
    }
  });
  if (layout.leader && !told) tell_node("");
  agree(rank_.world(), failure, waiter, "distributing the cache");

  if (layout.leader) {
    const bool held = result.source == DistributeResult::Source::held;
    NodeRow row;
    row.cache_source = to_text(result.source);
    row.t_cache_first = clock_.at(result.first_ns, offset_ns_);
    row.t_cache_last = clock_.at(result.last_ns, offset_ns_);
    // On the first node the file comes from its own disk.
    row.wire_bytes = result.source == DistributeResult::Source::received
                         ? static_cast<std::int64_t>(result.wire_bytes)
                         : 0;
    row.payload_bytes = held ? 0 : static_cast<std::int64_t>(result.payload_bytes);
    add_to_cache_row(row);
  }
  if (result.source == DistributeResult::Source::held) distribution.reset();
  return {std::move(distribution), image.digest};
}

}  // namespace vmi
