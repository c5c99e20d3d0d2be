// SPDX-License-Identifier: Apache-2.0
#include "tests/launch/fake_team.hpp"

#include <algorithm>
#include <thread>

namespace vmi::test {
namespace {

using namespace std::chrono_literals;

/// Copies the file at once: what is tested is what happens around it.
class FakeTransfer final : public Transfer {
 public:
  FakeTransfer(FakeTeam& team, std::optional<Outgoing> outgoing, TransferHooks hooks)
      : hooks_(std::move(hooks)) {
    const std::string mine = outgoing ? outgoing->path.string() + "\n" + outgoing->payload.to_bytes() : "";
    const std::string told = team.exchange("leaders", team.leaders(), mine, "the offer").front();
    const std::size_t end = told.find('\n');
    source_ = told.substr(0, end);
    payload_ = Payload::from_bytes(told.substr(end + 1));
    target_ = hooks_.target(payload_);
    if (target_.empty()) {
      if (outgoing) file_ = source_;
      result_.source = outgoing ? TransferResult::Source::origin : TransferResult::Source::none;
      return;
    }
    if (const auto held = hooks_.held(payload_)) {
      file_ = *held;
      result_.source = TransferResult::Source::held;
      return;
    }
    file_ = target_;
    wants_ = true;
    result_.source = outgoing ? TransferResult::Source::copied : TransferResult::Source::received;
  }
  ~FakeTransfer() override {
    std::error_code ignored;
    if (wants_ && !published_) fs::remove(target_, ignored);
  }
  const Payload& payload() const override { return payload_; }
  const fs::path& file() const override { return file_; }
  bool wants_data() const override { return wants_; }
  void find_places(Time) override {}
  TransferResult run(Time) override {
    if (wants_) fs::copy_file(source_, target_, fs::copy_options::overwrite_existing);
    if (!file_.empty() && result_.source != TransferResult::Source::none) hooks_.on_metadata_ready();
    if (hooks_.on_progress) hooks_.on_progress(payload_.size, payload_.size);
    result_.payload_bytes = payload_.size;
    result_.wire_bytes = result_.source == TransferResult::Source::received ? payload_.size : 0;
    return result_;
  }
  void publish(const fs::path& final_name) override {
    if (!wants_) return;
    fs::rename(target_, final_name);
    published_ = true;
  }

 private:
  TransferHooks hooks_;
  Payload payload_;
  fs::path source_;
  fs::path target_;
  fs::path file_;
  bool wants_ = false;
  bool published_ = false;
  TransferResult result_;
};

}  // namespace

FakeTeam::FakeTeam(FakeWorld& world, int rank) : world_(world) {
  layout_.rank = rank;
  layout_.ranks = world.ranks();
  layout_.node_of_rank = world.node_of_rank();
  layout_.node = layout_.node_of(rank);
  layout_.nodes = *std::ranges::max_element(layout_.node_of_rank) + 1;
  layout_.node_ranks = static_cast<int>(std::ranges::count(layout_.node_of_rank, layout_.node));
  layout_.leader = of_node().front() == rank;
  layout_.one_clock = true;
  layout_.hostname = "host" + std::to_string(layout_.node);
  layout_.node_key = "node" + std::to_string(layout_.node);
  if (rank == 0) {
    for (int node = 0; node < layout_.nodes; ++node)
      layout_.node_keys.push_back("node" + std::to_string(node));
  }
}

void FakeTeam::while_waiting(std::function<void()> pump, int /*wake_fd*/) {
  pump_ = std::move(pump);
}

void FakeTeam::wait_until(const std::function<bool()>& done, Time time,
                          const std::function<std::string()>& what) {
  const Deadline deadline = Deadline::after(std::min<Time>(time, world_.longest));
  while (!done()) {
    if (pump_) pump_();
    if (deadline.passed()) throw Error(ExitStatus::timed_out, "timed out waiting for " + what());
    std::this_thread::sleep_for(200us);
  }
}

void FakeTeam::wait_until_woken(const std::function<bool()>& done, Time time,
                                const std::function<std::string()>& what) {
  wait_until(done, time, what);
}

std::vector<int> FakeTeam::everybody() const {
  std::vector<int> ranks(static_cast<std::size_t>(layout_.ranks));
  for (int rank = 0; rank < layout_.ranks; ++rank) ranks[static_cast<std::size_t>(rank)] = rank;
  return ranks;
}

std::vector<int> FakeTeam::of_node() const {
  std::vector<int> ranks;
  for (int rank = 0; rank < layout_.ranks; ++rank) {
    if (layout_.node_of(rank) == layout_.node) ranks.push_back(rank);
  }
  return ranks;
}

std::vector<int> FakeTeam::leaders() const {
  std::vector<int> ranks;
  std::set<int> nodes;
  for (int rank = 0; rank < layout_.ranks; ++rank) {
    if (nodes.insert(layout_.node_of(rank)).second) ranks.push_back(rank);
  }
  return ranks;
}

std::vector<std::string> FakeTeam::exchange(const std::string& group, const std::vector<int>& members,
                                            const std::string& mine, std::string_view what) {
  const std::string key = group + "#" + std::to_string(meetings_[group]++);
  {
    const std::lock_guard lock(world_.mutex_);
    world_.meetings_[key].said[layout_.rank] = mine;
  }
  const auto all_here = [&] {
    const std::lock_guard lock(world_.mutex_);
    return world_.meetings_[key].said.size() == members.size();
  };
  wait_until(all_here, world_.longest, [&] { return std::string(what); });
  const std::lock_guard lock(world_.mutex_);
  std::vector<std::string> said;
  for (const int rank : members) said.push_back(world_.meetings_[key].said.at(rank));
  return said;
}

std::uint32_t FakeTeam::agree_on(const std::optional<Error>& mine, std::uint32_t flags, Time /*time*/,
                                 std::string_view stage) {
  const std::string text =
      mine
          ? "F" + std::to_string(static_cast<int>(mine->status())) + "\n" +
                (layout_.ranks > 1 ? "rank " + std::to_string(layout_.rank) + " on " + layout_.hostname + ": "
                                   : "") +
                mine->in(stage).what()
          : "D" + std::to_string(flags);
  std::uint32_t all = 0;
  for (const std::string& said : exchange("world", everybody(), text, stage)) {
    if (said.front() == 'F') {
      const std::size_t end = said.find('\n');
      throw AgreedError(static_cast<ExitStatus>(std::stoi(said.substr(1, end))), said.substr(end + 1));
    }
    all |= static_cast<std::uint32_t>(std::stoul(said.substr(1)));
  }
  return all;
}

void FakeTeam::tell(const std::optional<Error>& mine, std::string& text, Time time, std::string_view stage) {
  agree_on(first() ? mine : std::nullopt, 0, time, stage);
  share(text, time, stage);
}

void FakeTeam::share(std::string& text, Time /*time*/, std::string_view what) {
  text = exchange("world", everybody(), text, what).front();
}

void FakeTeam::share_on_node(std::string& text, Time /*time*/, std::string_view what) {
  text = exchange("node" + std::to_string(layout_.node), of_node(), text, what).front();
}

std::vector<std::string> FakeTeam::gather(const std::string& mine, Time /*time*/, std::string_view what) {
  std::vector<std::string> all = exchange("world", everybody(), mine, what);
  return first() ? all : std::vector<std::string>();
}

std::vector<std::string> FakeTeam::gather_on_node(const std::string& mine, Time /*time*/,
                                                  std::string_view what) {
  return exchange("node" + std::to_string(layout_.node), of_node(), mine, what);
}

std::int64_t FakeTeam::max(std::int64_t mine, Time /*time*/, std::string_view what) {
  std::int64_t most = mine;
  for (const std::string& said : exchange("world", everybody(), std::to_string(mine), what))
    most = std::max<std::int64_t>(most, std::stoll(said));
  return most;
}

void FakeTeam::meet(Time /*time*/, std::string_view what) {
  exchange("world", everybody(), "", what);
}

ClockOffset FakeTeam::measure_clock(Time /*time*/) {
  exchange("world", everybody(), "", "the clocks");
  return {};
}

std::unique_ptr<Transfer> FakeTeam::offer(std::optional<Outgoing> outgoing, TransferHooks hooks,
                                          Bytes /*expected_bytes*/, bool /*beside_others*/, Time /*time*/) {
  return std::make_unique<FakeTransfer>(*this, std::move(outgoing), std::move(hooks));
}

void FakeTeam::post(std::string text) {
  const std::lock_guard lock(world_.mutex_);
  world_.letters_.push_back({layout_.rank, std::move(text)});
}

std::optional<Team::Letter> FakeTeam::next_letter() {
  const std::lock_guard lock(world_.mutex_);
  if (!first() || world_.letters_.empty()) return std::nullopt;
  Letter letter = std::move(world_.letters_.front());
  world_.letters_.pop_front();
  return letter;
}

void FakeTeam::announce(const Error& failure) {
  const std::lock_guard lock(world_.mutex_);
  if (!world_.announced_) world_.announced_ = failure;
}

void FakeTeam::look_for_announcements() {
  const std::lock_guard lock(world_.mutex_);
  announced_ = world_.announced_;
}

}  // namespace vmi::test
