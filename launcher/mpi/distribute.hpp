// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"
#include "launcher/mpi/wait.hpp"
#include "launcher/team/transfer.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace vmi {

/// Paths that the data takes through the nodes; docs/adr/0003-distribution.md says why these and when which.
enum class Scheme { automatic, chain, two_trees };
/// automatic: chunks are compressed while the link, not the processor, is what limits.
enum class Compression { automatic, on, off };

/// But for the last, those of the first node hold for all.
struct DistributeOptions {
  Scheme scheme = Scheme::automatic;
  Compression compression = Compression::automatic;
  Bytes piece_bytes = 0;  ///< of one MPI message; 0: chosen by scheme and size
  int window = 0;         ///< messages in flight to each neighbour; 0: chosen
  /// Of the payload, where every node knows it alike: its description then needs one message. 0: not known.
  /// Each node's own.
  Bytes expected_bytes = 0;
};

/// What Transfer says of it (launcher/team/transfer.hpp), and how it went.
struct DistributeResult : TransferResult {
  Scheme scheme = Scheme::automatic;  ///< as chosen
};

/// One file on its way from the first node to the others that want it. Called by the node leaders only, in
/// steps, after which all ranks agree() on their outcome:
///
///     std::optional<Distribution> distribution;
///     failure = attempt([&] { if (layout.leader) distribution.emplace(layout.leaders, outgoing, ...); });
///     wanted = distribution && distribution->wants_data();
///     wanted = agree_on(world, failure, wanted, waiter, "offering the cache");   // all targets have their
///     space failure = attempt([&] {
///       if (layout.leader && wanted) distribution->find_places(waiter);
///       if (layout.leader) result = distribution->run(waiter);
///     });
///     agree(world, failure, waiter, "distributing the cache");  // all data is there, equal to its hashes
///     distribution->publish(final_name);
///
/// A leader that fails locally in run() (disk, damaged chunk) goes on forwarding, so that nobody waits for it
/// in vain, and throws at the end. Memory: a window of pieces and chunks, whatever the payload's size, and
/// the hashes.
///
/// Several files: all are offered before the first is moved, and every node runs them in the same order,
/// leaving out those without a use for it. The first node then goes on to the next file while the last one
/// still travels. Each of them needs a communicator of its own.
class Distribution {
 public:
  /// The offer: tells all leaders about the payload, and prepares the files of those that do not hold it:
  /// space is reserved, or Error(environment) names the folder, what is needed, what is there, and the
  /// remedy. `outgoing` is given on rank 0 of `leaders` only. `leaders` lives longer, and carries nothing
  /// else meanwhile.
  Distribution(const Comm& leaders, std::optional<Outgoing> outgoing, TransferHooks hooks,
               const DistributeOptions& options, const Waiter& waiter);
  Distribution(Distribution&&) noexcept;
  Distribution& operator=(Distribution&&) noexcept;
  /// Removes the target unless it was published.
  ~Distribution();

  const Payload& payload() const;
  /// The file as it is to be opened now: held, unpublished target, or the outgoing file. Empty on a node
  /// without a use for it.
  const fs::path& file() const;

  /// Whether this node's file() is still to be filled.
  bool wants_data() const;

  /// Finds each node's place on the data's way. Called by all leaders, where any of them wants data; without
  /// it, run() takes it that none does.
  void find_places(const Waiter& waiter);

  /// Moves the data. Returns once this node's part is done and every byte of file() matches the payload's
  /// hashes.
  DistributeResult run(const Waiter& waiter);

  /// Syncs the target and gives it its final name in the same file system; does nothing without a target.
  void publish(const fs::path& final_name);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace vmi
