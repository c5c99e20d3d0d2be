// SPDX-License-Identifier: Apache-2.0
#include "slurm/spank/run.hpp"

#include <catch2/catch.hpp>
#include <unistd.h>

using namespace vmi::spank;

namespace {

Outcome shell(const std::string& script, std::chrono::seconds timeout = std::chrono::seconds(60)) {
  return run({.argv = {"/bin/sh", "-c", script},
              .environment = {"WORD=one two"},
              .uid = geteuid(),
              .gid = getegid(),
              .timeout = timeout});
}

}  // namespace

TEST_CASE("a program has the environment that it is given, and what it says is kept") {
  const Outcome outcome = shell("echo \"$WORD\" $HOME >&2; echo unseen");
  CHECK(outcome.ok);
  CHECK(outcome.said == "one two\n");
}

TEST_CASE("more is said than a pipe holds: the end of it is kept") {
  const Outcome outcome =
      shell("i=0; while [ $i -lt 20000 ]; do echo 0123456789 >&2; i=$((i + 1)); done; echo last >&2");
  CHECK(outcome.ok);
  CHECK(outcome.said.size() == 16384);
  CHECK(outcome.said.ends_with("last\n"));
}

TEST_CASE("how a program ended is said, and is an exit status") {
  const Outcome failed = shell("exit 3");
  CHECK_FALSE(failed.ok);
  CHECK(failed.why == "/bin/sh: exit status 3");
  CHECK(failed.status == 3);
  const Outcome killed = shell("kill -9 $$");
  CHECK(killed.why == "/bin/sh: killed by signal 9");
  CHECK(killed.status == kEnvironment);
  const Outcome missing =
      run({.argv = {"/no/such"}, .uid = geteuid(), .gid = getegid(), .timeout = std::chrono::seconds(60)});
  CHECK_FALSE(missing.ok);
  CHECK(missing.said == "No such file or directory\n");
}

TEST_CASE("a program that stays is ended at the deadline, with what it has started") {
  const Outcome outcome =
      shell("echo started >&2; trap '' TERM; sleep 600 & sleep 600", std::chrono::seconds(1));
  CHECK_FALSE(outcome.ok);
  CHECK(outcome.said == "started\n");
  CHECK(outcome.why == "/bin/sh: not done within 1 s");
  CHECK(outcome.status == 124);
}
