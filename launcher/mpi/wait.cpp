// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/wait.hpp"

#include <algorithm>
#include <string>

#include <poll.h>
#include <sched.h>
#include <time.h>

namespace vmi {

using namespace std::chrono_literals;
using std::chrono::microseconds;

Waiter Waiter::within(Deadline::Clock::duration duration) const {
  return {deadline.sooner_of(Deadline::after(duration)), pump, wake_fd, woken};
}

void Napper::nap(int wake_fd) {
  constexpr int kYields = 20;
  constexpr auto kAwake = 50us;
  constexpr microseconds kLongest = 20ms;
  constexpr microseconds kLongestWoken = 100ms;
  const auto waited = std::chrono::duration_cast<microseconds>(Clock::now() - begin_);
  if (yields_ < kYields && waited < kAwake) {
    ++yields_;
    sched_yield();
    return;
  }
  const microseconds longest = woken_ ? kLongestWoken : std::clamp<microseconds>(waited / 200, 2ms, kLongest);
  sleep_for(std::clamp<microseconds>(waited / 4, kAwake, longest), wake_fd);
}

void sleep_for(std::chrono::microseconds time, int wake_fd) {
  const timespec length{time.count() / 1'000'000, time.count() % 1'000'000 * 1000};
  pollfd wake{wake_fd, POLLIN, 0};
  ppoll(&wake, wake_fd >= 0 ? 1 : 0, &length, nullptr);
}

void wait_until(const std::function<bool()>& done, const Waiter& waiter,
                const std::function<std::string()>& what) {
  Napper napper(waiter.woken);
  while (!done()) {
    if (waiter.pump) waiter.pump();
    if (waiter.deadline.passed()) throw Error(ExitStatus::timed_out, "timed out waiting for " + what());
    napper.nap(waiter.wake_fd);
  }
}

void wait_all(std::span<Request> requests, const Waiter& waiter, std::string_view what) {
  std::size_t complete = 0;
  wait_until(
      [&] {
        while (complete < requests.size() && requests[complete].test()) ++complete;
        return complete == requests.size();
      },
      waiter, [&] { return std::string(what); });
}

void wait_for(Request& request, const Waiter& waiter, std::string_view what) {
  wait_all(std::span(&request, 1), waiter, what);
}

Request start_barrier(const Comm& comm, std::string_view what) {
  MPI_Request raw = MPI_REQUEST_NULL;
  check_mpi(MPI_Ibarrier(comm.get(), &raw), what);
  return {raw, nullptr};
}

void barrier(const Comm& comm, const Waiter& waiter, std::string_view what) {
  Request request = start_barrier(comm, what);
  wait_for(request, waiter, what);
}

}  // namespace vmi
