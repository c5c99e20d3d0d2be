// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"
#include "launcher/mpi/payload.hpp"
#include "launcher/mpi/wait.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace vmi {

/// The file behind a Payload, on the first node.
struct Outgoing {
  Payload payload;
  fs::path path;
};

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

/// What Distribution asks of its caller; always called by the thread that calls MPI.
struct DistributeHooks {
  /// Where this node holds this very payload (by digest) already; nothing when it does not. Not asked where
  /// `target` is empty.
  std::function<std::optional<fs::path>(const Payload&)> held = {};
  /// The name under which to write the unpublished file; made new, with its folder. An empty path means, on
  /// the first node: use the outgoing file where it lies; on others: this node has no use for the file, and
  /// takes no part.
  std::function<fs::path(const Payload&)> target = {};
  /// The first metadata_bytes of file() are there and checked, and the file has its final size: it can be
  /// opened for reading. Called once, on nodes that hold the file too, not on those without a use for it.
  std::function<void()> on_metadata_ready = {};
  /// Bytes of the payload that are there, of payload().size.
  std::function<void(Bytes done, Bytes total)> on_progress = {};
};

struct DistributeResult {
  /// none: no use for the file; copied, origin: on the first node, with and without a target.
  enum class Source { none, held, received, copied, origin };
  Source source = Source::none;
  Bytes payload_bytes = 0;    ///< size of the file
  Bytes wire_bytes = 0;       ///< received by this node (on the first node: what each receiver gets)
  std::int64_t first_ns = 0;  ///< monotonic_ns() when the first and the last data was there
  std::int64_t last_ns = 0;
  Scheme scheme = Scheme::automatic;  ///< as chosen
};

std::string to_text(DistributeResult::Source source);  ///< "none", "held", "received", "copied", "origin"

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
  Distribution(const Comm& leaders, std::optional<Outgoing> outgoing, DistributeHooks hooks,
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
