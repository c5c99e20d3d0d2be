// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/wait.hpp"

#include <optional>
#include <vector>

namespace vmi {

/// Notes beside the ordinary communication by which one rank makes all others leave whatever they wait for.
///
/// A note floods the ranks: each sends the first note it hears, once, to the ranks 2^k before and after it.
/// That is O(log n) small sends and hops, and reaches everybody even when some ranks have died. When two
/// ranks announce at once, every rank hears one of the two.
class Control {
 public:
  /// One for each communicator, which outlives it: its messages are told from others by their tag.
  explicit Control(const Comm& world);

  /// Tells all other ranks why they have to stop what they do, unless somebody announced something before.
  /// Others see the text as it is, its first kilobytes if it is longer: it names the rank, if it is one
  /// rank's failure (rank_name()). Does not wait.
  void announce(const Error& failure);

  /// The first announcement of another rank, once. Cheap; for every pump().
  std::optional<Error> poll();

  /// What was announced or heard, at any time.
  const std::optional<Error>& announced() const { return announced_; }

 private:
  void pass_on(const Error& failure);

  Comm comm_;
  std::vector<int> neighbours_;
  std::vector<Request> sends_;
  std::optional<Error> announced_;
};

}  // namespace vmi
