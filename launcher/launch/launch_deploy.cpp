// SPDX-License-Identifier: Apache-2.0
// The stage of a Launch in which caches travel to the nodes while the VMs that will read them are created,
// paused.
#include "launcher/desk/desk.hpp"
#include "launcher/launch/launch.hpp"
#include "launcher/launch/vm_spec.hpp"
#include "launcher/mpi/collective.hpp"
#include "launcher/mpi/distribute.hpp"
#include "launcher/mpi/nodes.hpp"

#include <algorithm>
#include <cmath>

#include <fcntl.h>
#include <unistd.h>

namespace vmi {
namespace {

using namespace std::chrono_literals;

/// A fifth of a millisecond; the messages that are on their way meanwhile last a fast link as long.
constexpr int kLettersBesideData = 8;

/// A link of 1 MiB/s is the slowest that a launch waits for.
Deadline::Clock::duration patience_for(Bytes bytes) {
  return 300s + std::chrono::seconds(bytes / MiB);
}

}  // namespace

Bytes Launch::bytes_of(const std::deque<Delivery>& deliveries) {
  Bytes bytes = 0;
  for (const Delivery& delivery : deliveries) bytes += delivery.image.payload_bytes;
  return bytes;
}

VmSpec Launch::spec_of(const PlacedVm& vm) const {
  const auto cpus = vm_cpus_.find(vm.index);
  return vm_spec(options_, images_[static_cast<std::size_t>(vm.image)], vm, guest_, driver_,
                 cpus == vm_cpus_.end() ? "" : cpus->second);
}

int Launch::first_vm_here(const ImagePlan& image) const {
  const auto& node_of_rank = rank_.layout().node_of_rank;
  const auto first = std::ranges::find_if(placed_, [&](const PlacedVm& vm) {
    return vm.image == image.index && node_of_rank[static_cast<std::size_t>(vm.rank)] == rank_.layout().node;
  });
  return first == placed_.end() ? -1 : first->index;
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

void Launch::distribute_and_prepare(std::deque<Delivery>& deliveries) {
  if (desk_) desk_->phase("distribute", "distributing and preparing");
  for (ImagePlan& image : images_) {
    if (options_.cache == CacheMode::cold) {
      open_node_cache(image);
    } else if (image.payload.empty()) {
      prepare_vms(image);
    } else if (options_.placement == Placement::shared) {
      deliver_shared(image);
    } else {
      deliveries.emplace_back(image);
    }
  }
  std::optional<Error> failure = deliver(deliveries);
  std::string_view stage = "distributing the caches";
  if (cache_row_.node != kUnknownCount) rank_.post(node_letter(cache_row_));
  if (!failure) {
    stage = "preparing the VMs";
    failure = attempt([&] {
      for (const std::uint64_t id : prepares_) rank_.await(id, 600s, "VMs to be created");
    });
  }
  // One agreement on both, since VMs wait for each. Others may still be receiving.
  agree(rank_.world(), failure, rank_.waiter(patience_for(bytes_of(deliveries)) + 600s), stage);
}

/// Every VM has opened the file under its temporary name, and all ranks agreed on its content.
void Launch::keep(Delivery& delivery) {
  if (!delivery.distribution) return;
  const fs::path file = delivery.distribution->file();
  const bool kept = node_pool_->keep(file, delivery.image.digest,
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
  const bool unknown = row.cache_source.empty() || row.cache_source == "none";
  if (unknown || (moved(image.cache_source) && !moved(row.cache_source)))
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

void Launch::tell_node(Delivery& delivery, std::string path, const Waiter& waiter) {
  delivery.told = true;
  broadcast(rank_.layout().node_comm, path, 0, waiter, "the node's ranks to hear of the cache");
}

/// On leaders: rank 0 offers the payload, and nodes that boot it without holding it make room.
void Launch::offer(Delivery& delivery, bool refused, const Waiter& waiter) {
  ImagePlan& image = delivery.image;
  DistributeHooks hooks;
  hooks.held = [this](const Payload& payload) -> std::optional<fs::path> {
    if (node_pool_->holds(payload.digest, payload.size)) return node_pool_->path_of(payload.digest);
    node_pool_->make_room(payload.bytes_to_write());
    return std::nullopt;
  };
  hooks.target = [this, &delivery, refused](const Payload& payload) {
    return boots_here(delivery.image) && !refused ? node_folder_ / (payload.digest + ".part") : fs::path();
  };
  hooks.on_metadata_ready = [this, &delivery, waiter] {
    if (!boots_here(delivery.image)) return;  // rank 0's node, which only sends it
    delivery.image.local = delivery.distribution->file();
    tell_node(delivery, delivery.image.local.string(), waiter);
    prepare_vms(delivery.image);
  };
  hooks.on_progress = [this](Bytes done, Bytes total) {
    if (desk_) {
      desk_->progress().update("distributing: " + format_size(done) + " of " + format_size(total) + ", " +
                               desk_->counters());
    }
  };
  std::optional<Outgoing> outgoing;
  if (rank_.first()) {
    outgoing = Outgoing{{.name = image.payload.string(),
                         .size = image.payload_bytes,
                         .metadata_bytes = image.metadata_bytes,
                         .digest = image.digest,
                         .hashes = std::move(image.hashes)},
                        image.payload};
  }
  const Comm& comm = delivery.comm ? delivery.comm : rank_.layout().leaders;
  delivery.distribution.emplace(comm, std::move(outgoing), std::move(hooks),
                                DistributeOptions{.expected_bytes = image.payload_bytes}, waiter);
}

/// On all ranks: the leader gets the payload; the node's other ranks wait for the name of the file that
/// their VMs are to open.
void Launch::transfer(Delivery& delivery, const Waiter& waiter) {
  if (rank_.layout().leader) {
    const DistributeResult result = delivery.distribution->run(waiter);
    note_arrival(delivery.image, result);
    using Source = DistributeResult::Source;
    if (result.source != Source::received && result.source != Source::copied) delivery.distribution.reset();
  } else if (boots_here(delivery.image)) {
    std::string path;
    broadcast(rank_.layout().node_comm, path, 0, waiter, "the node's leader to receive the cache");
    delivery.image.local = path;
    if (!path.empty()) prepare_vms(delivery.image);
  }
}

void Launch::note_arrival(const ImagePlan& image, const DistributeResult& result) {
  NodeRow row;
  row.cache_source = "none";
  row.wire_bytes = 0;
  row.payload_bytes = 0;
  if (boots_here(image)) {
    using Source = DistributeResult::Source;
    row.cache_source = to_text(result.source);
    row.t_cache_first = clock_.at(result.first_ns, offset_ns_);
    row.t_cache_last = clock_.at(result.last_ns, offset_ns_);
    // On the first node the file comes from its own disk.
    if (result.source == Source::received) row.wire_bytes = static_cast<std::int64_t>(result.wire_bytes);
    if (result.source != Source::held) row.payload_bytes = static_cast<std::int64_t>(result.payload_bytes);
  }
  add_to_cache_row(row);
}

bool Launch::offer_all(std::deque<Delivery>& deliveries, const Waiter& waiter) {
  constexpr std::uint32_t kDoesNotFit = 1;
  constexpr std::uint32_t kWanted = 2;
  NodeFit fit;
  std::uint32_t flags = 0;
  std::optional<Error> failure = attempt([&] { fit = fit_here(); });
  if (!fit.fits()) flags |= kDoesNotFit;
  // All ranks are going to refuse then: nothing makes way for what does not come.
  const bool refused =
      (!fit.memory_problem.empty() || !fit.space_problem.empty()) && options_.overcommit != Overcommit::all;
  for (Delivery& delivery : deliveries) {
    if (!rank_.layout().leader) continue;
    std::optional<Error> here = attempt([&] {
      if (deliveries.size() > 1)
        delivery.comm = duplicate(rank_.layout().leaders, waiter, "all nodes to begin a distribution");
      offer(delivery, refused, waiter);
      if (delivery.distribution->wants_data()) flags |= kWanted;
    });
    if (!failure) failure = std::move(here);
  }
  flags = agree_on(rank_.world(), failure, flags, waiter, "offering the caches");
  if ((flags & kDoesNotFit) != 0) {
    collect_fits(fit);
    demand_room();
  }
  return (flags & kWanted) != 0;
}

std::optional<Error> Launch::deliver(std::deque<Delivery>& deliveries) {
  if (deliveries.empty()) return std::nullopt;
  const Waiter waiter = rank_.waiter(patience_for(bytes_of(deliveries)));
  const bool wanted = offer_all(deliveries, waiter);
  const bool leader = rank_.layout().leader;
  std::optional<Error> failure;
  // A rank on which one fails goes on with the next, in which others count on it.
  const auto try_it = [&](auto&& step) {
    std::optional<Error> here = attempt(step);
    if (!failure) failure = std::move(here);
  };
  for (Delivery& delivery : deliveries) {
    if (leader && wanted) try_it([&] { delivery.distribution->find_places(waiter); });
  }

  // One after the other, since all leave by rank 0's link: it goes on to the next while the last still
  // travels.
  rank_.take_letters(kLettersBesideData);
  for (Delivery& delivery : deliveries) {
    try_it([&] { transfer(delivery, waiter); });
    if (leader && boots_here(delivery.image) && !delivery.told)
      try_it([&] { tell_node(delivery, "", waiter); });
  }
  rank_.take_letters(Rank::kAllLetters);
  return failure;
}

}  // namespace vmi
