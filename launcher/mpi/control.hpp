// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/wait.hpp"

#include <optional>
#include <string>
#include <vector>

namespace vmi {

/// Why all ranks have to stop what they do, and which rank said so first.
struct Announcement {
  int rank = 0;
  ExitStatus status = ExitStatus::environment;
  std::string text;  ///< "interrupted by signal 15"; names the host

  Error error() const { return {status, "rank " + std::to_string(rank) + " " + text}; }
};

/// Notes beside the ordinary communication by which one rank makes all others leave whatever they wait for.
///
/// A note floods the ranks: each sends the first note it hears, once, to the ranks 2^k before and after it.
/// That is O(log n) small sends and hops, and reaches everybody even when some ranks have died. When two
/// ranks announce at once, every rank hears one of the two.
class Control {
 public:
  /// One for each communicator, which outlives it: its messages are told from others by their tag.
  explicit Control(const Comm& world);

  /// Tells all other ranks, unless somebody announced something before. Does not wait.
  void announce(ExitStatus status, const std::string& text);

  /// The first announcement of another rank, once. Cheap; for every pump().
  std::optional<Announcement> poll();

  /// What was announced or heard, at any time.
  const std::optional<Announcement>& announced() const { return announced_; }

 private:
  void pass_on(const Announcement& announcement);

  Comm comm_;
  std::vector<int> neighbours_;
  std::vector<Request> sends_;
  std::optional<Announcement> announced_;
};

}  // namespace vmi
