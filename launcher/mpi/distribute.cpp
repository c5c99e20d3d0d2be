// SPDX-License-Identifier: Apache-2.0
// The offer is a broadcast of the payload's description, and where some nodes lack it, they are found by a
// gather: small messages. The data then flows only through the nodes that need it. Zero chunks are known from
// their hashes and never travel.
#include "launcher/mpi/distribute.hpp"

#include "launcher/mpi/agree.hpp"
#include "launcher/mpi/chunk_sink.hpp"
#include "launcher/mpi/chunk_source.hpp"
#include "launcher/mpi/collective.hpp"
#include "launcher/mpi/flow.hpp"
#include "launcher/mpi/pace.hpp"
#include "launcher/mpi/scheme.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace vmi {

namespace {

/// All nodes use the options of the first, whatever their own say: buffers and windows must fit together.
std::string to_line(const DistributeOptions& options) {
  return nlohmann::json{options.scheme, options.compression, options.piece_bytes, options.window}.dump() +
         "\n";
}

DistributeOptions options_from_line(const std::string& line) {
  const auto parts = nlohmann::json::parse(line);
  return {parts[0].get<Scheme>(), parts[1].get<Compression>(), parts[2].get<Bytes>(), parts[3].get<int>()};
}

/// At least what describes a payload of so many bytes, but for a very long name.
std::size_t description_size(Bytes payload_bytes) {
  constexpr std::size_t kFacts = 768;
  return payload_bytes == 0 ? 0 : kFacts + payload_bytes / kDigestChunk * sizeof(std::uint64_t);
}

}  // namespace

class Distribution::State {
 public:
  State(const Comm& leaders, std::optional<Outgoing> outgoing, TransferHooks hooks,
        const DistributeOptions& options, const Waiter& waiter);
  bool wants_data() const { return target_ != nullptr; }
  void find_places(const Waiter& waiter);
  DistributeResult run(const Waiter& waiter);

  Outgoing outgoing_;  // on nodes but the first: only the payload
  std::unique_ptr<Target> target_;
  fs::path file_;

 private:
  void find_or_prepare();
  Route route_among(const std::string& wanted) const;
  DistributeResult send(const Waiter& waiter);
  DistributeResult receive(const Waiter& waiter);
  void advance(Bytes done);
  void drive(Flow& flow, const Waiter& waiter, const std::function<bool()>& finished,
             const std::function<Bytes()>& done);

  Comm comm_;
  TransferHooks hooks_;
  DistributeOptions options_;
  bool first_;            // the first node
  int participants_ = 1;  // the first node, and those that need the data
  Route route_;           // to this node's neighbours, ranks of comm_; empty: it takes no part
  bool metadata_announced_ = false;
  Bytes reported_ = 0;
  DistributeResult result_;
};

Distribution::State::State(const Comm& leaders, std::optional<Outgoing> outgoing, TransferHooks hooks,
                           const DistributeOptions& options, const Waiter& waiter)
    : comm_(Comm::borrowed(leaders.get())), hooks_(std::move(hooks)), first_(comm_.rank() == 0) {
  std::string description;
  std::optional<Error> failure = attempt([&] {
    if (!first_) return;
    outgoing_ = std::move(outgoing).value();
    outgoing_.payload.check();
    description = to_line(options) + outgoing_.payload.to_bytes();
  });
  broadcast(comm_, description, 0, waiter, "the offer of the first node",
            description_size(options.expected_bytes));
  if (description.empty())
    throw failure.value_or(Error(ExitStatus::environment, "the first node has nothing to offer"));
  if (failure) throw Error(*failure);
  const std::size_t line = description.find('\n') + 1;
  if (!first_) outgoing_.payload = Payload::from_bytes(description.substr(line));
  options_ = options_from_line(description.substr(0, line));
  find_or_prepare();
}

void Distribution::State::find_places(const Waiter& waiter) {
  const std::string wanted = all_gather_flags(comm_, wants_data() || first_, waiter, "who wants the data");
  participants_ = static_cast<int>(std::ranges::count(wanted, 1));
  options_ = resolve_options(options_, participants_, outgoing_.payload.size);
  if (wants_data() || first_) route_ = route_among(wanted);
}

/// This node's route among the ranks whose flag is set; only neighbours are kept, however many they are.
Route Distribution::State::route_among(const std::string& wanted) const {
  std::vector<int> ranks;
  for (std::size_t rank = 0; rank < wanted.size(); ++rank) {
    if (wanted[rank] != 0) ranks.push_back(static_cast<int>(rank));
  }
  const auto rank_of = [&](int participant) { return ranks[static_cast<std::size_t>(participant)]; };
  const auto self = std::ranges::lower_bound(ranks, comm_.rank()) - ranks.begin();
  Route route = route_of(options_.scheme, static_cast<int>(self), participants_);
  for (TreePlace& place : route) {
    if (place.parent >= 0) place.parent = rank_of(place.parent);
    for (int& child : place.children) child = rank_of(child);
  }
  return route;
}

void Distribution::State::find_or_prepare() {
  const Payload& payload = outgoing_.payload;
  const fs::path wanted = hooks_.target ? hooks_.target(payload) : fs::path();
  if (wanted.empty()) {
    if (first_) {
      file_ = outgoing_.path;
      result_.source = DistributeResult::Source::origin;
    }
    return;
  }
  if (const std::optional<fs::path> held = hooks_.held ? hooks_.held(payload) : std::nullopt) {
    file_ = *held;
    result_.source = DistributeResult::Source::held;
    return;
  }
  target_ = std::make_unique<Target>(wanted, payload);
  file_ = wanted;
  result_.source = first_ ? DistributeResult::Source::copied : DistributeResult::Source::received;
}

void Distribution::State::advance(Bytes done) {
  const Payload& payload = outgoing_.payload;
  if (!metadata_announced_ && done >= payload.metadata_bytes) {
    metadata_announced_ = true;
    if (hooks_.on_metadata_ready) hooks_.on_metadata_ready();
  }
  if (done > reported_) {
    if (result_.first_ns == 0) result_.first_ns = monotonic_ns();
    reported_ = done;
    result_.last_ns = monotonic_ns();
    if (hooks_.on_progress) hooks_.on_progress(done, payload.size);
  }
}

/// Steps `flow` until it is done and `finished`.
void Distribution::State::drive(Flow& flow, const Waiter& waiter, const std::function<bool()>& finished,
                                const std::function<Bytes()>& done) {
  Pace pace(options_.piece_bytes);
  while (!flow.done() || !finished()) {
    if (flow.step()) pace.moved(flow.bytes());
    advance(done());
    if (waiter.pump) waiter.pump();
    if (waiter.deadline.passed()) {
      const std::string peers = flow.waiting_for();
      throw Error(ExitStatus::timed_out,
                  "timed out distributing '" + outgoing_.payload.name + "' with " + format_size(done()) +
                      " of " + format_size(outgoing_.payload.size) + (first_ ? " read" : " written") +
                      " here, waiting for " + (peers.empty() ? "this node's disk" : peers));
    }
    pace.nap(waiter.wake_fd);
  }
  advance(done());
}

DistributeResult Distribution::State::send(const Waiter& waiter) {
  ChunkSource source(outgoing_, options_.compression, target_.get());
  if (target_ == nullptr) advance(outgoing_.payload.metadata_bytes);
  StreamEnds ends;
  ends.produce = [&](std::span<std::byte> into) { return source.produce(into); };
  ends.finished = [&] { return source.finished(); };
  Flow flow(comm_, route_, options_, ends);
  drive(
      flow, waiter, [] { return true; }, [&] { return source.done_bytes(); });
  if (const auto failure = source.failure()) throw Error(*failure);
  if (participants_ > 1) result_.wire_bytes = flow.bytes();
  result_.last_ns = monotonic_ns();
  return result_;
}

DistributeResult Distribution::State::receive(const Waiter& waiter) {
  ChunkSink sink(outgoing_.payload, *target_, "the first node");
  StreamEnds ends;
  ends.consume = [&](std::span<const std::byte> from) { return sink.consume(from); };
  Flow flow(comm_, route_, options_, ends);
  bool closed = false;
  const auto finished = [&] {
    if (!std::exchange(closed, true)) sink.close();
    return sink.finished();
  };
  drive(flow, waiter, finished, [&] { return sink.done_bytes(); });
  if (const auto failure = sink.failure()) throw Error(*failure);
  result_.wire_bytes = flow.bytes();
  return result_;
}

DistributeResult Distribution::State::run(const Waiter& waiter) {
  result_.scheme = options_.scheme;
  if (result_.source == DistributeResult::Source::none) return result_;
  result_.payload_bytes = outgoing_.payload.size;
  const bool nobody_needs_it = participants_ == 1 && target_ == nullptr;
  if (route_.empty() || nobody_needs_it) {
    advance(outgoing_.payload.size);
    return result_;
  }
  return first_ ? send(waiter) : receive(waiter);
}

Distribution::Distribution(const Comm& leaders, std::optional<Outgoing> outgoing, TransferHooks hooks,
                           const DistributeOptions& options, const Waiter& waiter)
    : state_(std::make_unique<State>(leaders, std::move(outgoing), std::move(hooks), options, waiter)) {
}

Distribution::Distribution(Distribution&&) noexcept = default;
Distribution& Distribution::operator=(Distribution&&) noexcept = default;
Distribution::~Distribution() = default;

const Payload& Distribution::payload() const {
  return state_->outgoing_.payload;
}
const fs::path& Distribution::file() const {
  return state_->file_;
}
bool Distribution::wants_data() const {
  return state_->wants_data();
}
void Distribution::find_places(const Waiter& waiter) {
  state_->find_places(waiter);
}
DistributeResult Distribution::run(const Waiter& waiter) {
  return state_->run(waiter);
}

void Distribution::publish(const fs::path& final_name) {
  if (state_->target_ == nullptr) return;
  state_->target_->publish(final_name);
  state_->file_ = final_name;
}

}  // namespace vmi
