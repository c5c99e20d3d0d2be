// SPDX-License-Identifier: Apache-2.0
// The stage of a Launch in which caches travel to the nodes while the VMs that will read them are created,
// paused.
#include "launcher/desk.hpp"
#include "launcher/launch.hpp"
#include "launcher/mpi/collective.hpp"
#include "launcher/mpi/distribute.hpp"

#include <algorithm>

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
  const std::optional<Error> failure = attempt([&] {
    for (const std::uint64_t id : prepares_) rank_.await(id, 600s, "VMs to be created");
    // Every VM has opened the file under its temporary name, and all ranks agreed on its content.
    for (Delivery& delivery : deliveries) {
      if (delivery.distribution) delivery.distribution->publish(node_store_->path_of(delivery.digest));
    }
  });
  agree(rank_.world(), failure, rank_.waiter(900s), "preparing the VMs");
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
    row.node = rank_.layout().node;
    row.cache_source = "shared";
    row.wire_bytes = 0;
    row.payload_bytes = static_cast<std::int64_t>(image.payload_bytes);
    rank_.post(node_letter(row));
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
    if (!node_store_->holds(payload.digest, payload.size)) return std::nullopt;
    return node_store_->path_of(payload.digest);
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
    NodeRow row;
    row.node = layout.node;
    row.cache_source = to_text(result.source);
    row.t_cache_first = clock_.at(result.first_ns, offset_ns_);
    row.t_cache_last = clock_.at(result.last_ns, offset_ns_);
    // On the first node the file comes from its own disk.
    row.wire_bytes = result.source == DistributeResult::Source::received
                         ? static_cast<std::int64_t>(result.wire_bytes)
                         : 0;
    row.payload_bytes = static_cast<std::int64_t>(result.payload_bytes);
    rank_.post(node_letter(row));
  }
  if (result.source == DistributeResult::Source::held) distribution.reset();
  return {std::move(distribution), image.digest};
}

}  // namespace vmi
