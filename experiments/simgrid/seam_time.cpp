// SPDX-License-Identifier: Apache-2.0
// What the product's code takes for clocks, naps and the host's name. The linker leads its calls here
// (--wrap).
#include "experiments/simgrid/seam.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include <poll.h>
#include <simgrid/s4u.hpp>
#include <time.h>

using simgrid::s4u::Engine;

// NOLINTBEGIN(bugprone-reserved-identifier,clang-diagnostic-return-type-c-linkage): the linker's names
extern "C" {

int __wrap_clock_gettime(clockid_t /*clock*/, timespec* now) {
  const double seconds = Engine::get_clock();
  now->tv_sec = static_cast<time_t>(seconds);
  now->tv_nsec = static_cast<long>((seconds - std::floor(seconds)) * 1e9);
  return 0;
}

std::chrono::steady_clock::time_point __wrap__ZNSt6chrono3_V212steady_clock3nowEv() {
  return std::chrono::steady_clock::time_point(
      std::chrono::nanoseconds(static_cast<std::int64_t>(Engine::get_clock() * 1e9)));
}

int __wrap_gethostname(char* name, std::size_t size) {
  std::snprintf(name, size, "%s", simgrid::s4u::this_actor::get_host()->get_cname());
  return 0;
}

int __wrap_sched_yield() {
  vmi::nap(1e-6);
  return 0;
}

int __wrap_ppoll(pollfd* fds, unsigned long count, const timespec* time, const void* /*signals*/) {
  double seconds = static_cast<double>(time->tv_sec) + static_cast<double>(time->tv_nsec) * 1e-9;
  if (count == 1 && fds->fd >= vmi::kFirstAlarm) {
    const double alarm = vmi::g_alarms[static_cast<std::size_t>(fds->fd - vmi::kFirstAlarm)];
    if (alarm > Engine::get_clock()) {
      // What wakes a rank at its time is not one of its MPI operations.
      vmi::pause(std::min(seconds, alarm - Engine::get_clock() + 1e-9));
      return 0;
    }
  }
  vmi::nap(seconds);
  return 0;
}
}
// NOLINTEND(bugprone-reserved-identifier,clang-diagnostic-return-type-c-linkage)
