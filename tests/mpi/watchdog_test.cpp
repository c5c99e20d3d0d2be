// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/watchdog.hpp"

#include <catch2/catch.hpp>
#include <sys/wait.h>
#include <unistd.h>

using namespace vmi;
using namespace std::chrono_literals;

TEST_CASE("a watchdog that is gone in time does nothing") {
  { const Watchdog watchdog(Deadline::after(1h), "a quick call", ExitStatus::timed_out); }
  SUCCEED();
}

TEST_CASE("a call that does not return ends the process with the given status") {
  const pid_t child = fork();
  if (child == 0) {
    const Watchdog watchdog(Deadline::after(20ms), "MPI_Finalize", ExitStatus::timed_out);
    while (true) pause();
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 124);
}
