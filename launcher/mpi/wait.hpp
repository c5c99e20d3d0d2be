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
  /// What is waited for comes by wake_fd: naps need not be short to notice it.
  bool woken = false;

  /// The same waiter with a deadline of `duration` from now, or its own if that is sooner.
  Waiter within(Deadline::Clock::duration duration) const;
};

/// Sleeps, less when `wake_fd` (if not -1) becomes readable.
void sleep_for(std::chrono::microseconds time, int wake_fd);

/// Naps between two tests: yields the processor for about as long as a message takes at the least (50 us),
/// then sleeps a quarter of the time waited, up to 2 ms or a two hundredth of that time, and never more than
/// 20 ms; when `woken`, up to 100 ms. Polling ranks may outnumber the cores: 64 that looked every 2 ms took a
/// quarter of two processors from the VMs they waited for.
class Napper {
 public:
  explicit Napper(bool woken = false) : woken_(woken) {}
  void nap(int wake_fd = -1);

 private:
  using Clock = std::chrono::steady_clock;
  bool woken_;
  int yields_ = 0;
  Clock::time_point begin_ = Clock::now();
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
