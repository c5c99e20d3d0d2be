// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/team/team.hpp"

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace vmi::test {

/// What the ranks of a test share: threads of one process take the part of MPI's ranks.
class FakeWorld {
 public:
  /// `node_of_rank`: the node of each rank, in the order of their lowest ranks.
  explicit FakeWorld(std::vector<int> node_of_rank) : node_of_rank_(std::move(node_of_rank)) {}

  int ranks() const { return static_cast<int>(node_of_rank_.size()); }
  const std::vector<int>& node_of_rank() const { return node_of_rank_; }
  /// Of any wait, whatever it is given.
  Team::Time longest = std::chrono::seconds(30);

 private:
  friend class FakeTeam;
  struct Meeting {
    std::map<int, std::string> said;  ///< by rank
  };
  const std::vector<int> node_of_rank_;
  std::mutex mutex_;
  std::map<std::string, Meeting> meetings_;  ///< by group and number
  std::deque<Team::Letter> letters_;
  std::optional<Error> announced_;
};

/// One rank's view. Waits pump as the real one does.
class FakeTeam final : public Team {
 public:
  FakeTeam(FakeWorld& world, int rank);

  const NodeLayout& layout() const override { return layout_; }
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
  void post(std::string text) override;
  std::optional<Letter> next_letter() override;
  bool all_posted() override { return true; }
  void announce(const Error& failure) override;
  void look_for_announcements() override;
  const std::optional<Error>& announced() const override { return announced_; }
  std::optional<Lost> lost() override { return std::nullopt; }
  void leave() override {}
  std::string version() const override { return "threads"; }

  /// What every rank of the group says, in the order of the ranks.
  std::vector<std::string> exchange(const std::string& group, const std::vector<int>& members,
                                    const std::string& mine, std::string_view what);
  std::vector<int> leaders() const;

 private:
  std::vector<int> everybody() const;
  std::vector<int> of_node() const;

  FakeWorld& world_;
  NodeLayout layout_;
  std::function<void()> pump_;
  std::map<std::string, int> meetings_;  ///< of each group, that this rank has been to
  std::optional<Error> announced_;
};

}  // namespace vmi::test
