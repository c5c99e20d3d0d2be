// SPDX-License-Identifier: Apache-2.0
// The stages in the order of launcher/launch/launch.cpp, and with the same collective calls in each: what a
// change there adds or saves belongs here too. Letters have the size of the product's.
#include "experiments/simgrid/stages.hpp"

#include "launcher/mpi/agree.hpp"
#include "launcher/mpi/clock.hpp"
#include "launcher/mpi/collective.hpp"
#include "launcher/mpi/mailbox.hpp"
#include "launcher/mpi/nodes.hpp"
#include "launcher/mpi/scheme.hpp"

#include <cstring>
#include <limits>
#include <random>

namespace vmi {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kAddressBytes = 55;  // of what a rank tells its neighbours in lifeline.cpp
constexpr std::size_t kPlanBytes = 500;    // of one image's plan
constexpr std::size_t kLetterBytes = 250;  // of an event as JSON
constexpr auto kPumpEvery = 2ms;
constexpr int kAllLetters = std::numeric_limits<int>::max();
constexpr int kLettersBesideData = 8;  // launch_deploy.cpp

class Stages {
 public:
  Stages(Session& session, const StageOptions& options)
      : session_(session), world_(session.world()), options_(options), first_(session.rank() == 0) {}

  nlohmann::json run();

 private:
  void plan();
  void offer();
  void distribute();
  void prepare();
  void boot();
  void end();

  Waiter waiter() {
    if (!mailbox_) return {Deadline::after(options_.timeout)};
    return {Deadline::after(options_.timeout), [this] { pump(); }};
  }
  void agreed(std::string_view what, const std::optional<Error>& failure = std::nullopt) {
    agree(world_, failure, waiter(), what);
  }
  void pump();
  void post(std::string_view what);
  void stay_until(std::int64_t at_ns);
  double own(const std::vector<double>& choices) const;

  Session& session_;
  const Comm& world_;
  const StageOptions& options_;
  bool first_;
  NodeLayout layout_;
  std::optional<Mailbox> mailbox_;
  std::optional<Outgoing> cache_;  // on the first rank, until it is offered
  std::optional<Distribution> distribution_;
  DistributeResult result_;
  std::int64_t prepared_ns_ = 0;
  int letters_ = 0;
  int letters_at_once_ = kAllLetters;
  int finals_ = 0;
};

/// One of `choices`, always the same for a rank.
double Stages::own(const std::vector<double>& choices) const {
  if (choices.empty()) return 0;
  std::minstd_rand random(static_cast<unsigned>(session_.rank()) + 1);
  random.discard(3);
  return choices[random() % choices.size()];
}

void Stages::post(std::string_view what) {
  const std::string text = nlohmann::json{{"event", what}, {"rank", session_.rank()}}.dump();
  const std::size_t blanks = kLetterBytes - std::min(kLetterBytes, text.size());
  mailbox_->post(text + std::string(blanks, ' '));
}

void Stages::pump() {
  for (int taken = 0; taken < letters_at_once_; ++taken) {
    const std::optional<Mailbox::Letter> letter = mailbox_->poll();
    if (!letter) return;
    ++letters_;
    if (nlohmann::json::parse(letter->text).at("event") == "final") ++finals_;
    letter_taken();
  }
}

void Stages::stay_until(std::int64_t at_ns) {
  for (std::int64_t left = 0; (left = at_ns - monotonic_ns()) > 0;) {
    if (first_) pump();
    const auto rest = std::chrono::microseconds(left / 1000 + 1);
    sleep_for(first_ ? std::min<std::chrono::microseconds>(rest, kPumpEvery) : rest, -1);
  }
}

void Stages::plan() {
  layout_ = group_by_node(world_, waiter());
  layout_.one_clock = false;  // the simulated nodes are machines of their own
  mailbox_.emplace(world_);
  exchange_in_ring(world_, std::string(kAddressBytes, 'a'), waiter(), "addresses");
  std::string told(kPlanBytes, 'p');
  tell(world_, std::nullopt, told, waiter(), "planning");
  const ClockOffset offset = measure_clock(layout_, waiter());
  gather(world_, std::to_string(offset.offset_ns), 0, waiter(), "the clocks' offsets");
  post("node");
  agreed("looking at the allocation");  // everything fits
  told = first_ ? std::string(kPlanBytes, 'c') : "";
  tell(world_, std::nullopt, told, waiter(), "finding the boot cache");
}

void Stages::offer() {
  DistributeHooks hooks;
  if (!first_) hooks.target = [this](const Payload&) { return options_.folder / "received"; };
  hooks.on_metadata_ready = [this] {
    prepared_ns_ = monotonic_ns() + static_cast<std::int64_t>(own(options_.prepare_s) * 1e9);
  };
  std::optional<Outgoing> outgoing;
  if (first_) outgoing = std::move(cache_);
  const auto failure = attempt([&] {
    distribution_.emplace(layout_.leaders, std::move(outgoing), std::move(hooks), options_.distribute,
                          waiter());
  });
  agreed("offering the cache", failure);
  distribution_->find_places(waiter());
}

void Stages::distribute() {
  letters_at_once_ = kLettersBesideData;
  const auto failure = attempt([&] { result_ = distribution_->run(waiter()); });
  letters_at_once_ = kAllLetters;
  // Where the stage ends. A launch agrees on this only with its VMs' creation.
  agreed("distributing the cache", failure);
  post("cache");
}

void Stages::prepare() {
  stay_until(prepared_ns_);
  agreed("preparing the VMs");
}

void Stages::boot() {
  agreed("starting the VMs");
  post("running");
  stay_until(monotonic_ns() + static_cast<std::int64_t>(own(options_.boot_s) * 1e9));
  post("ready");
  barrier(world_, waiter(), "all ranks' VMs to get ready");
}

void Stages::end() {
  post("final");
  const auto what = [] { return "the last messages"; };
  wait_until([&] { return mailbox_->all_sent(); }, waiter(), what);
  if (first_) wait_until([&] { return finals_ == session_.ranks(); }, waiter(), what);
  all_max(world_, 0, waiter(), "the exit status");
}

nlohmann::json Stages::run() {
  const std::pair<const char*, void (Stages::*)()> stages[] = {
      {"plan", &Stages::plan},       {"offer", &Stages::offer}, {"distribute", &Stages::distribute},
      {"prepare", &Stages::prepare}, {"boot", &Stages::boot},   {"end", &Stages::end}};
  if (first_) {
    cache_ = make_cache(options_);
    cache_->payload.metadata_bytes = std::min<Bytes>(options_.cache_bytes, 1 * MiB);
  }
  barrier(world_, waiter(), "the launch to begin");
  nlohmann::json seconds;
  const std::int64_t zero = monotonic_ns();
  for (const auto& [name, stage] : stages) {
    const std::int64_t begin = monotonic_ns();
    (this->*stage)();
    seconds[name] = static_cast<double>(monotonic_ns() - begin) * 1e-9;
  }
  const double total = static_cast<double>(monotonic_ns() - zero) * 1e-9;
  return {{"nodes", layout_.nodes},
          {"cache_bytes", options_.cache_bytes},
          {"scheme", to_text(result_.scheme)},
          {"wire_bytes", result_.wire_bytes},
          {"letters", letters_},
          {"seconds", seconds},
          {"total_s", total}};
}

}  // namespace

void fill_chunk(std::size_t number, std::span<std::byte> bytes) {
  std::mt19937_64 random(number + 1);
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t word = random();
    std::memcpy(&bytes[at], &word, std::min(sizeof word, bytes.size() - at));
  }
}

nlohmann::json run_stages(Session& session, const StageOptions& options) {
  return Stages(session, options).run();
}

}  // namespace vmi
