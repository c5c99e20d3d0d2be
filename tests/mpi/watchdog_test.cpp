// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/watchdog.hpp"

#include "cachegen/support/file.hpp"
#include "tests/eventually.hpp"

#include <string>

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

/// The state of each thread of this process but the calling one, as proc(5) has it.
std::string other_threads() {
  std::string states;
  for (const auto& task : fs::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == std::to_string(gettid())) continue;
    try {
      const std::string stat = read_text(task.path() / "stat");
      states += stat.at(stat.rfind(')') + 2);
    } catch (const Error&) {
      continue;  // it has ended meanwhile
    }
  }
  return states;
}

}  // namespace

TEST_CASE("a watchdog goes with the call that it watched, and leaves nothing behind to end the process") {
  CHECK(status_of([] {
          {
            const Watchdog watchdog(Deadline::after(1h), "a quick call", ExitStatus::timed_out);
            if (!testing::eventually([] { return other_threads() == "S"; })) return false;  // it waits
          }
          return testing::eventually([] { return other_threads().empty(); });
        }) == 0);
}

TEST_CASE("a call that does not return ends the process with the given status") {
  CHECK(status_of([] {
          const Watchdog watchdog(Deadline::after(20ms), "MPI_Finalize", ExitStatus::timed_out);
          pause();  // until the alarm, for want of a watchdog
          return false;
        }) == 124);
}
