// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "launcher/team/agreed.hpp"
#include "launcher/team/layout.hpp"
#include "launcher/team/transfer.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmi {

/// All ranks of a launch, as one of them meets the others: MPI (launcher/mpi/mpi_team.hpp), or threads of a
/// test. Whatever waits here calls the pump again and again, and throws what the pump throws, or
/// Error(timed_out) that says what it waited for, after `time`.
///
/// Collectives (agree_on to measure_clock) are called by all ranks in the same order.
class Team {
 public:
  using Time = Deadline::Clock::duration;
  virtual ~Team() = default;

  virtual const NodeLayout& layout() const = 0;
  int rank() const { return layout().rank; }
  bool first() const { return layout().rank == 0; }

  /// `pump` is called while anything waits; it must not wait for other ranks itself. A wait ends its naps
  /// when `wake_fd` becomes readable.
  virtual void while_waiting(std::function<void()> pump, int wake_fd) = 0;
  /// Until `done()`. `what`: called for the message alone.
  virtual void wait_until(const std::function<bool()>& done, Time time,
                          const std::function<std::string()>& what) = 0;
  /// The same where what is waited for comes by `wake_fd`: naps need not be short.
  virtual void wait_until_woken(const std::function<bool()>& done, Time time,
                                const std::function<std::string()>& what) = 0;

  /// Ends a stage that may have failed on some rank, or raised flags: throws on every rank, as AgreedError,
  /// the failure of the lowest rank that failed (its status; "rank 3 on node7: stage: message", without the
  /// rank when there is only one), else returns the flags that any rank has raised.
  virtual std::uint32_t agree_on(const std::optional<Error>& mine, std::uint32_t flags, Time time,
                                 std::string_view stage) = 0;
  void agree(const std::optional<Error>& mine, Time time, std::string_view stage) {
    agree_on(mine, 0, time, stage);
  }
  /// Tells all ranks what rank 0 says, or its failure, as agree() does. `mine` and `text` count on rank 0.
  virtual void tell(const std::optional<Error>& mine, std::string& text, Time time,
                    std::string_view stage) = 0;
  /// Rank 0's text becomes everybody's.
  virtual void share(std::string& text, Time time, std::string_view what) = 0;
  /// The leader's text becomes that of its node's ranks.
  virtual void share_on_node(std::string& text, Time time, std::string_view what) = 0;
  /// On rank 0: every rank's text in their order. Elsewhere: empty.
  virtual std::vector<std::string> gather(const std::string& mine, Time time, std::string_view what) = 0;
  /// On every rank of a node: those of the node's ranks.
  virtual std::vector<std::string> gather_on_node(const std::string& mine, Time time,
                                                  std::string_view what) = 0;
  virtual std::int64_t max(std::int64_t mine, Time time, std::string_view what) = 0;
  /// Returns once every rank has called it.
  virtual void meet(Time time, std::string_view what) = 0;
  virtual ClockOffset measure_clock(Time time) = 0;

  /// Offers a file to all node leaders, on leaders alone; `outgoing` is given on rank 0. All that is said of
  /// Distribution holds. `beside_others`: several are under way at once.
  virtual std::unique_ptr<Transfer> offer(std::optional<Outgoing> outgoing, TransferHooks hooks,
                                          Bytes expected_bytes, bool beside_others, Time time) = 0;

  /// A letter to rank 0, which takes each rank's letters in their order.
  struct Letter {
    int rank = 0;
    std::string text;
  };
  virtual void post(std::string text) = 0;
  virtual std::optional<Letter> next_letter() = 0;
  virtual bool all_posted() = 0;

  /// Tells all other ranks why they have to stop what they do, unless somebody announced something before.
  virtual void announce(const Error& failure) = 0;
  /// Looks for other ranks' announcements.
  virtual void look_for_announcements() = 0;
  /// What was announced or heard, at any time.
  virtual const std::optional<Error>& announced() const = 0;

  /// A rank that is gone without a word.
  struct Lost {
    int rank = -1;
    std::string node;
  };
  virtual std::optional<Lost> lost() = 0;
  /// Says that this rank ends in order, so that its neighbours do not miss it.
  virtual void leave() = 0;

  /// For the record: "Open MPI v4.1.4".
  virtual std::string version() const = 0;
};

}  // namespace vmi
