// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "launcher/mpi/comm.hpp"

#include <functional>
#include <span>
#include <string_view>

namespace vmi {

/// How a rank waits: no MPI call of this project blocks. It tests, calls `pump` (which answers the
/// supervisor, looks for announcements and signals, and may throw), naps a little, and tests again until the
/// deadline.
struct Waiter {
  Deadline deadline;
  std::function<void()> pump = {};  ///< called between tests; must not wait for MPI itself
  int wake_fd = -1;                 ///< a nap ends early when this descriptor becomes readable

  /// The same waiter with a deadline of `duration` from now, or its own if that is sooner.
  Waiter within(Deadline::Clock::duration duration) const;
};

/// Sleeps, less when `wake_fd` (if not -1) becomes readable.
void sleep_for(std::chrono::microseconds time, int wake_fd);

/// Naps between two tests: first yields the processor, then sleeps longer and longer, up to `longest`.
/// Polling ranks may outnumber the cores, so that a rank that spins takes the time of the one it waits for.
class Napper {
 public:
  explicit Napper(std::chrono::microseconds longest = std::chrono::milliseconds(2)) : longest_(longest) {}
  /// Something happened: the next nap is short again.
  void reset() { naps_ = 0; }
  void nap(int wake_fd = -1);

 private:
  std::chrono::microseconds longest_;
  int naps_ = 0;
};

/// Waits until `done` returns true. Throws Error(timed_out, "timed out waiting for WHAT").
/// `what` is only called for the message.
void wait_until(const std::function<bool()>& done, const Waiter& waiter,
                const std::function<std::string()>& what);

void wait_all(std::span<Request> requests, const Waiter& waiter, std::string_view what);
void wait_for(Request& request, const Waiter& waiter, std::string_view what);

/// A barrier that is entered now and waited for later: a leader enters it when something is ready, the other
/// ranks enter at once and wait.
Request start_barrier(const Comm& comm, std::string_view what);

/// Returns once every rank of `comm` has called it.
void barrier(const Comm& comm, const Waiter& waiter, std::string_view what);

}  // namespace vmi
