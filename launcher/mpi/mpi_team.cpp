// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/mpi_team.hpp"

#include "launcher/mpi/agree.hpp"
#include "launcher/mpi/clock.hpp"
#include "launcher/mpi/collective.hpp"

namespace vmi {
namespace {

/// A distribution with the communicator that it needs for itself, and its caller's pump.
class MpiTransfer final : public Transfer {
 public:
  using MakeWaiter = std::function<Waiter(Time)>;
  MpiTransfer(Comm comm, std::optional<Outgoing> outgoing, TransferHooks hooks,
              const DistributeOptions& options, MakeWaiter waiter, Time time)
      : comm_(std::move(comm)),
        waiter_(std::move(waiter)),
        distribution_(comm_, std::move(outgoing), std::move(hooks), options, waiter_(time)) {}

  const Payload& payload() const override { return distribution_.payload(); }
  const fs::path& file() const override { return distribution_.file(); }
  bool wants_data() const override { return distribution_.wants_data(); }
  void find_places(Time time) override { distribution_.find_places(waiter_(time)); }
  TransferResult run(Time time) override { return distribution_.run(waiter_(time)); }
  void publish(const fs::path& final_name) override { distribution_.publish(final_name); }

 private:
  Comm comm_;
  MakeWaiter waiter_;
  Distribution distribution_;
};

}  // namespace

MpiTeam::MpiTeam(Session& session, Deadline start_up, DistributeOptions distribute, bool own_clocks)
    : session_(session),
      groups_(group_by_node(session.world(), {start_up})),
      distribute_(distribute),
      mailbox_(session.world()),
      lifeline_(session.world(), groups_.node_key, {start_up}) {
  if (own_clocks) groups_.one_clock = false;
}

void MpiTeam::while_waiting(std::function<void()> pump, int wake_fd) {
  pump_ = std::move(pump);
  wake_fd_ = wake_fd;
}

Waiter MpiTeam::waiter(Time time) const {
  return {Deadline::after(time), pump_, wake_fd_};
}

void MpiTeam::wait_until(const std::function<bool()>& done, Time time,
                         const std::function<std::string()>& what) {
  vmi::wait_until(done, waiter(time), what);
}

void MpiTeam::wait_until_woken(const std::function<bool()>& done, Time time,
                               const std::function<std::string()>& what) {
  Waiter woken = waiter(time);
  woken.woken = true;
  vmi::wait_until(done, woken, what);
}

std::uint32_t MpiTeam::agree_on(const std::optional<Error>& mine, std::uint32_t flags, Time time,
                                std::string_view stage) {
  return vmi::agree_on(session_.world(), mine, flags, waiter(time), stage);
}

void MpiTeam::tell(const std::optional<Error>& mine, std::string& text, Time time, std::string_view stage) {
  vmi::tell(session_.world(), mine, text, waiter(time), stage);
}

void MpiTeam::share(std::string& text, Time time, std::string_view what) {
  broadcast(session_.world(), text, 0, waiter(time), what);
}

void MpiTeam::share_on_node(std::string& text, Time time, std::string_view what) {
  broadcast(groups_.node_comm, text, 0, waiter(time), what);
}

std::vector<std::string> MpiTeam::gather(const std::string& mine, Time time, std::string_view what) {
  return vmi::gather(session_.world(), mine, 0, waiter(time), what);
}

std::vector<std::string> MpiTeam::gather_on_node(const std::string& mine, Time time, std::string_view what) {
  return all_gather(groups_.node_comm, mine, waiter(time), what);
}

std::int64_t MpiTeam::max(std::int64_t mine, Time time, std::string_view what) {
  return all_max(session_.world(), mine, waiter(time), what);
}

void MpiTeam::meet(Time time, std::string_view what) {
  barrier(session_.world(), waiter(time), what);
}

ClockOffset MpiTeam::measure_clock(Time time) {
  return vmi::measure_clock(groups_, waiter(time));
}

std::unique_ptr<Transfer> MpiTeam::offer(std::optional<Outgoing> outgoing, TransferHooks hooks,
                                         Bytes expected_bytes, bool beside_others, Time time) {
  Comm comm = beside_others ? duplicate(groups_.leaders, waiter(time), "all nodes to begin a distribution")
                            : Comm::borrowed(groups_.leaders.get());
  DistributeOptions options = distribute_;
  options.expected_bytes = expected_bytes;
  return std::make_unique<MpiTransfer>(
      std::move(comm), std::move(outgoing), std::move(hooks), options,
      [this](Time patience) { return waiter(patience); }, time);
}

std::optional<Team::Letter> MpiTeam::next_letter() {
  std::optional<Mailbox::Letter> letter = mailbox_.poll();
  if (!letter) return std::nullopt;
  return Letter{letter->rank, std::move(letter->text)};
}

std::optional<Team::Lost> MpiTeam::lost() {
  const std::optional<Lifeline::Lost> lost = lifeline_.lost();
  if (!lost) return std::nullopt;
  return Lost{lost->rank, lost->node};
}

std::string MpiTeam::version() const {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string whole(text, static_cast<std::size_t>(length));
  return whole.substr(0, whole.find_first_of(",\n"));
}

}  // namespace vmi
