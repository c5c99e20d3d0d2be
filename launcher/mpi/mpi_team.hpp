// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/distribute.hpp"
#include "launcher/mpi/lifeline.hpp"
#include "launcher/mpi/mailbox.hpp"
#include "launcher/mpi/nodes.hpp"
#include "launcher/mpi/session.hpp"
#include "launcher/team/team.hpp"

namespace vmi {

/// The team of an MPI session. Only the thread that made the session may call it.
class MpiTeam final : public Team {
 public:
  /// Collective. `distribute`: how files travel. `own_clocks`: nodes are taken for machines of their own.
  MpiTeam(Session& session, Deadline start_up, DistributeOptions distribute = {}, bool own_clocks = false);

  const NodeLayout& layout() const override { return groups_; }
  void while_waiting(std::function<void()> pump, int wake_fd) override;
  void wait_until(const std::function<bool()>& done, Time time,
                  const std::function<std::string()>& what) override;
  void wait_until_woken(const std::function<bool()>& done, Time time,
                        const std::function<std::string()>& what) override;

  std::uint32_t agree_on(const std::optional<Error>& mine, std::uint32_t flags, Time time,
                         std::string_view stage) override;
  void tell(const std::optional<Error>& mine, std::string& text, Time time, std::string_view stage) override;
  void share(std::string& text, Time time, std::string_view what) override;
  void share_on_node(std::string& text, Time time, std::string_view what) override;
  std::vector<std::string> gather(const std::string& mine, Time time, std::string_view what) override;
  std::vector<std::string> gather_on_node(const std::string& mine, Time time, std::string_view what) override;
  std::int64_t max(std::int64_t mine, Time time, std::string_view what) override;
  void meet(Time time, std::string_view what) override;
  ClockOffset measure_clock(Time time) override;
  std::unique_ptr<Transfer> offer(std::optional<Outgoing> outgoing, TransferHooks hooks, Bytes expected_bytes,
                                  bool beside_others, Time time) override;

  void post(std::string text) override { mailbox_.post(std::move(text)); }
  std::optional<Letter> next_letter() override;
  bool all_posted() override { return mailbox_.all_sent(); }

  void announce(const Error& failure) override { session_.control().announce(failure); }
  void look_for_announcements() override { session_.control().poll(); }
  const std::optional<Error>& announced() const override { return session_.control().announced(); }
  std::optional<Lost> lost() override;
  void leave() override { lifeline_.close(); }
  std::string version() const override;

 private:
  Waiter waiter(Time time) const;

  Session& session_;
  RankGroups groups_;
  DistributeOptions distribute_;
  Mailbox mailbox_;
  Lifeline lifeline_;
  std::function<void()> pump_;
  int wake_fd_ = -1;
};

}  // namespace vmi
