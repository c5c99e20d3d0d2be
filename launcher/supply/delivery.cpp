// SPDX-License-Identifier: Apache-2.0
#include "launcher/supply/delivery.hpp"

#include "launcher/launch/fit_check.hpp"
#include "launcher/supply/notes.hpp"

namespace vmi {
namespace {

/// A fifth of a millisecond; the messages that are on their way meanwhile last a fast link as long.
constexpr int kLettersBesideData = 8;

}  // namespace

DeliveringSupply::DeliveringSupply(const SupplySetting& setting) : at_(setting) {
}

bool DeliveringSupply::boots_here(const Delivery& delivery) const {
  return at_.plan.boots_here(at_.rank.layout(), delivery.image);
}

const fs::path& DeliveringSupply::local(const ImagePlan& image) const {
  static const fs::path not_yet;
  const auto at = static_cast<std::size_t>(image.index);
  return at < deliveries_.size() ? deliveries_[at].local : not_yet;
}

Bytes DeliveringSupply::bytes_to_come(const ImagePlan& image) const {
  if (image.payload.empty() || !at_.plan.boots_here(at_.rank.layout(), image)) return 0;
  return at_.pool.has(image.digest) ? 0 : image.payload_bytes;
}

void DeliveringSupply::serve(const ImagePlan& image, VmSpec& vm) const {
  vm.cache = local(image).string();
}

std::optional<Error> DeliveringSupply::bring(const Begin& begin) {
  const bool wanted = offer_all(begin);
  return move_all(wanted, begin);
}

std::optional<Error> DeliveringSupply::move_all(bool wanted, const Begin& begin) {
  const Rank::Time time = time_to_send(at_.plan.images);
  std::optional<Error> failure;
  // A rank on which one fails goes on with the next, in which others count on it.
  const auto try_it = [&](auto&& step) {
    std::optional<Error> here = attempt(step);
    if (!failure) failure = std::move(here);
  };
  for (Delivery& delivery : deliveries_) {
    if (leads() && wanted) try_it([&] { delivery.transfer->find_places(time); });
  }

  // One after the other, since all leave by rank 0's link: it goes on to the next while the last still
  // travels.
  at_.rank.take_letters(kLettersBesideData);
  for (Delivery& delivery : deliveries_) {
    try_it([&] { transfer(delivery, time, begin); });
    if (leads() && boots_here(delivery) && !delivery.told) try_it([&] { tell_node(delivery, "", time); });
  }
  at_.rank.take_letters(Rank::kAllLetters);
  arrivals_.post(at_.rank);
  return failure;
}

bool DeliveringSupply::offer_all(const Begin& begin) {
  for (const ImagePlan& image : at_.plan.images) deliveries_.push_back({.image = image});
  const Rank::Time time = time_to_send(at_.plan.images);
  constexpr std::uint32_t kDoesNotFit = 1;
  constexpr std::uint32_t kWanted = 2;
  NodeFit fit;
  std::uint32_t flags = 0;
  std::optional<Error> failure = attempt([&] { fit = fit_here(at_.rank, at_.plan, *this, at_.pool); });
  if (!fit.fits()) flags |= kDoesNotFit;
  // All ranks are going to refuse then: nothing makes way for what does not come.
  const bool refused = (!fit.memory_problem.empty() || !fit.space_problem.empty()) &&
                       at_.options.overcommit != Overcommit::all;
  for (Delivery& delivery : deliveries_) {
    if (!leads()) continue;
    std::optional<Error> here = attempt([&] {
      offer(delivery, refused, time, begin);
      if (delivery.transfer->wants_data()) flags |= kWanted;
    });
    if (!failure) failure = std::move(here);
  }
  flags = at_.rank.team().agree_on(failure, flags, time, "offering the caches");
  if ((flags & kDoesNotFit) != 0) demand_room(at_.rank, collect_fits(at_.rank, fit), at_.options.overcommit);
  return (flags & kWanted) != 0;
}

/// On leaders: rank 0 offers the payload, and nodes that boot it without holding it make room.
void DeliveringSupply::offer(Delivery& delivery, bool refused, Rank::Time time, const Begin& begin) {
  const ImagePlan& image = delivery.image;
  TransferHooks hooks;
  hooks.held = [this](const Payload& payload) -> std::optional<fs::path> {
    if (at_.pool.holds(payload.digest, payload.size)) return at_.pool.path_of(payload.digest);
    at_.pool.make_room(payload.bytes_to_write());
    return std::nullopt;
  };
  hooks.target = [this, &delivery, refused](const Payload& payload) {
    return boots_here(delivery) && !refused ? at_.plan.node_folder / (payload.digest + ".part") : fs::path();
  };
  hooks.on_metadata_ready = [this, &delivery, time, begin] {
    if (!boots_here(delivery)) return;  // rank 0's node, which only sends it
    delivery.local = delivery.transfer->file();
    tell_node(delivery, delivery.local.string(), time);
    begin(delivery.image);
  };
  hooks.on_progress = [this](Bytes done, Bytes total) { say_progress(done, total); };
  std::optional<Outgoing> outgoing;
  if (at_.rank.first()) {
    outgoing = Outgoing{{.name = image.payload.string(),
                         .size = image.payload_bytes,
                         .metadata_bytes = image.metadata_bytes,
                         .digest = image.digest,
                         .hashes = image.hashes},
                        image.payload};
  }
  delivery.transfer = at_.rank.team().offer(std::move(outgoing), std::move(hooks), image.payload_bytes,
                                            deliveries_.size() > 1, time);
}

void DeliveringSupply::say_progress(Bytes done, Bytes total) {
  at_.rank.reporter().progress("distributing " + format_size(done) + " of " + format_size(total),
                               total == 0 ? -1 : static_cast<double>(done) / static_cast<double>(total));
}

/// On all ranks: the leader gets the payload; the node's other ranks wait for the name of the file that
/// their VMs are to open.
void DeliveringSupply::transfer(Delivery& delivery, Rank::Time time, const Begin& begin) {
  if (leads()) {
    const TransferResult result = delivery.transfer->run(time);
    note_arrival(delivery, result);
    using Source = TransferResult::Source;
    delivery.made_file = result.source == Source::received || result.source == Source::copied;
  } else if (boots_here(delivery)) {
    std::string path;
    at_.rank.team().share_on_node(path, time, "the node's leader to receive the cache");
    delivery.local = path;
    if (!path.empty()) begin(delivery.image);
  }
}

void DeliveringSupply::note_arrival(const Delivery& delivery, const TransferResult& result) {
  NodeRow row;
  row.cache_source = "none";
  row.wire_bytes = 0;
  row.payload_bytes = 0;
  if (boots_here(delivery)) {
    using Source = TransferResult::Source;
    row.cache_source = to_text(result.source);
    row.t_cache_first = at_.plan.clock.at(result.first_ns, at_.plan.offset_ns);
    row.t_cache_last = at_.plan.clock.at(result.last_ns, at_.plan.offset_ns);
    // On the first node the file comes from its own disk.
    if (result.source == Source::received) row.wire_bytes = static_cast<std::int64_t>(result.wire_bytes);
    if (result.source != Source::held) row.payload_bytes = static_cast<std::int64_t>(result.payload_bytes);
  }
  arrivals_.add(row);
}

void DeliveringSupply::tell_node(Delivery& delivery, std::string path, Rank::Time time) {
  delivery.told = true;
  at_.rank.team().share_on_node(path, time, "the node's ranks to hear of the cache");
}

/// Every VM has opened the file under its temporary name, and all ranks agreed on its content.
void DeliveringSupply::keep() {
  for (Delivery& delivery : deliveries_) {
    if (delivery.made_file) {
      const auto publish = [&](const fs::path& name) { delivery.transfer->publish(name); };
      // Without a name it is gone once the VMs that have opened it end.
      if (!at_.pool.keep(delivery.transfer->file(), delivery.image.digest, publish))
        say_not_kept(at_, delivery.transfer->payload().name);
    }
    delivery.transfer.reset();
  }
}

void DeliveringSupply::note() const {
  note_caches(at_, [this](const ImagePlan& image) -> CacheNote {
    // The node's leader speaks for it.
    return leads() ? CacheNote{image.digest, at_.rank.first()} : CacheNote{};
  });
}

}  // namespace vmi
