// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/watchdog.hpp"

#include "tests/eventually.hpp"

#include <filesystem>

#include <catch2/catch.hpp>
#include <sys/wait.h>
#include <unistd.h>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

/// The status of a process that calls this: 0, or what the watchdog or the alarm ended it with.
template <typename Work>
int status_of(const Work& work) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(60);
    _exit(work() ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("a watchdog goes with the call that it watched, and leaves nothing behind to end the process") {
  CHECK(status_of([] {
          const auto threads = [] {
            return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
          };
          { const Watchdog watchdog(Deadline::after(1h), "a quick call", ExitStatus::timed_out); }
          return testing::eventually([&] { return threads() == 1; });
        }) == 0);
}

TEST_CASE("a call that does not return ends the process with the given status") {
  CHECK(status_of([] {
          const Watchdog watchdog(Deadline::after(20ms), "MPI_Finalize", ExitStatus::timed_out);
          pause();  // until the alarm, for want of a watchdog
          return false;
        }) == 124);
}
