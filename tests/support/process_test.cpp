// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/process.hpp"

#include "cachegen/support/error.hpp"

#include <csignal>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <unistd.h>

using namespace vmi;
using namespace std::chrono_literals;

TEST_CASE("a command's output, errors and status are kept") {
  const RunResult result = run({"sh", "-c", "echo out; echo err >&2; exit 3"}, Deadline::after(30s));
  CHECK(result.out == "out\n");
  CHECK(result.err == "err\n");
  CHECK(describe_wait_status(result.wait_status) == "exit status 3");
}

TEST_CASE("a command that fails is reported with what it printed") {
  CHECK_THROWS_WITH(run_checked({"sh", "-c", "echo 'no such thing' >&2; exit 1"}, Deadline::after(30s)),
                    Catch::Contains("no such thing"));
}

TEST_CASE("a program that does not exist is named") {
  CHECK_THROWS_WITH(spawn({"no-such-program"}), Catch::Contains("'no-such-program'"));
  CHECK_THROWS_WITH(spawn({"/etc/passwd"}), Catch::Contains("/etc/passwd"));
}

TEST_CASE("a command that does not end by its deadline is killed and reported") {
  try {
    run({"sleep", "600"}, Deadline::after(50ms));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.status() == ExitStatus::timed_out);
    CHECK_THAT(error.what(), Catch::Contains("sleep 600"));
  }
}

TEST_CASE("a child inherits only the descriptors that it was given") {
  const Fd kept = open_file("/dev/null", O_RDONLY);
  const Fd other(dup(kept.get()));
  const RunResult plain = run({"sh", "-c", "ls /proc/self/fd | wc -l"}, Deadline::after(30s));
  CHECK(plain.out == "4\n");  // 0, 1, 2 and the folder that ls reads
}

TEST_CASE("commands are shown as a shell would take them") {
  CHECK(shell_quoted({"a", "b c", "it's", ""}) == "a 'b c' 'it'\\''s' ''");
}

TEST_CASE("a child's environment has what is added and not what is taken away") {
  setenv("VMI_TEST_TAKEN", "1", 1);
  Child child = spawn({"sh", "-c", "test \"$VMI_TEST_ADDED\" = 'a b' && test -z \"${VMI_TEST_TAKEN+set}\""},
                      {.environment = {{"VMI_TEST_ADDED", "a b"}}, .unset = {"VMI_TEST_TAKEN"}});
  CHECK(child.wait(Deadline::after(30s)) == 0);
}

TEST_CASE("a detached process is nobody's descendant, and is waited for and killed all the same") {
  int fds[2];
  REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
  const Fd read_end(fds[0]);
  Fd write_end(fds[1]);
  Child child =
      spawn({"sh", "-c", "echo there; exec sleep 60"}, {.stdout_fd = write_end.get(), .detached = true});
  write_end.reset();
  char text[6] = {};
  REQUIRE(read(read_end.get(), text, 6) == 6);
  const std::string stat = read_text("/proc/" + std::to_string(child.pid()) + "/stat");
  CHECK(stat.find(") S " + std::to_string(getpid()) + " ") == std::string::npos);
  CHECK_FALSE(child.wait(Deadline::after(std::chrono::milliseconds(10))));
  child.signal(SIGTERM);
  CHECK(child.wait(Deadline::after(std::chrono::seconds(10))) == 0);
  CHECK_THROWS_WITH(spawn({"/proc/self/cmdline"}, {.detached = true}), Catch::Contains("cannot run"));
}
