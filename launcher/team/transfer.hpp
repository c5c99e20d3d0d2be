// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/file.hpp"
#include "launcher/team/payload.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace vmi {

/// The file behind a Payload, on the first node.
struct Outgoing {
  Payload payload;
  fs::path path;
};

/// What a distribution asks of its caller; always called by the thread that waits for it.
struct TransferHooks {
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

struct TransferResult {
  /// none: no use for the file; copied, origin: on the first node, with and without a target.
  enum class Source { none, held, received, copied, origin };
  Source source = Source::none;
  Bytes payload_bytes = 0;    ///< size of the file
  Bytes wire_bytes = 0;       ///< received by this node (on the first node: what each receiver gets)
  std::int64_t first_ns = 0;  ///< monotonic_ns() when the first and the last data was there
  std::int64_t last_ns = 0;
};

std::string to_text(TransferResult::Source source);  ///< "none", "held", "received", "copied", "origin"

/// One file on its way from the first node to the others that want it, as Distribution
/// (launcher/mpi/distribute.hpp) describes its steps. Leaders only; every wait ends after its `time`.
class Transfer {
 public:
  using Time = Deadline::Clock::duration;
  virtual ~Transfer() = default;

  virtual const Payload& payload() const = 0;
  /// The file as it is to be opened now; empty on a node without a use for it.
  virtual const fs::path& file() const = 0;
  /// Whether this node's file() is still to be filled.
  virtual bool wants_data() const = 0;
  /// Called by all leaders, where any of them wants data, before run().
  virtual void find_places(Time time) = 0;
  /// Returns once this node's part is done and every byte of file() matches the payload's hashes.
  virtual TransferResult run(Time time) = 0;
  /// Syncs the target and gives it its final name in the same file system.
  virtual void publish(const fs::path& final_name) = 0;
};

}  // namespace vmi
