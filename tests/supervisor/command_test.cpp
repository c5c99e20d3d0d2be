// SPDX-License-Identifier: Apache-2.0
#include "fixture.hpp"
#include "tests/eventually.hpp"

#include <csignal>

#include <catch2/catch.hpp>

using namespace vmi;
using vmi::testing::eventually;
using namespace std::chrono_literals;

namespace {

int status_of(Fixture& fixture, const std::string& script) {
  const std::size_t before = fixture.all<CommandExited>().size();
  fixture.call(RunCommand{.argv = {"sh", "-c", script}, .environment = {{"VMILAUNCH_HOSTS", "/a b"}}});
  return fixture.wait_for<CommandExited>(static_cast<int>(before) + 1).back().exit_status;
}

}  // namespace

TEST_CASE("a command's exit status is reported, and its environment is set") {
  Fixture fixture(Backend::qemu);
  CHECK(status_of(fixture, "exit 7") == 7);
  CHECK(status_of(fixture, "test \"$VMILAUNCH_HOSTS\" = '/a b'") == 0);
  CHECK(status_of(fixture, "kill -KILL $$") == 137);
}

TEST_CASE("a command does not see what the supervisor set for libvirt") {
  Fixture fixture(Backend::qemu);
  CHECK(status_of(fixture, "test -z \"${LIBVIRT_LOG_OUTPUTS+set}\"") == 0);
}

TEST_CASE("signals reach the command's whole group") {
  Fixture fixture(Backend::qemu);
  const fs::path begun = fixture.folder() / "begun";
  fixture.call(RunCommand{
      .argv = {"sh", "-c", "trap 'exit 9' INT; touch \"$1\"; sleep 600 & wait; wait", "sh", begun.string()}});
  REQUIRE(eventually([&] { return fs::exists(begun); }));
  CHECK_THROWS_WITH(fixture.call(RunCommand{.argv = {"true"}}), Catch::Contains("runs already"));
  fixture.call(SignalCommand{.number = SIGINT});
  CHECK(fixture.wait_for<CommandExited>(1).at(0).exit_status == 9);
  fixture.call(SignalCommand{.number = SIGINT});  // nobody there: no error
}

TEST_CASE("a program that does not exist is refused by name") {
  Fixture fixture(Backend::qemu);
  CHECK_THROWS_WITH(fixture.call(RunCommand{.argv = {"no-such-program"}}),
                    Catch::Contains("no-such-program"));
}

TEST_CASE("a command, and what it left behind in other sessions, ends with the supervisor") {
  Fixture fixture(Backend::qemu);
  const std::string mark = fixture.folder().string();
  const std::string script =
      "trap '' TERM; exec 2>/dev/null; setsid tail -qf /dev/null \"$1\" & setsid sh -c 'tail -qf /dev/null "
      "\"$1\" &' sh \"$1\"; "
      "touch \"$1\"; wait";
  const fs::path begun = fixture.folder() / "begun";
  fixture.call(RunCommand{.argv = {"sh", "-c", script, "sh", begun.string()}});
  REQUIRE(eventually([&] { return fs::exists(begun); }));
  CHECK(processes_with(mark).size() >= 3);
  fixture.supervisor().shutdown(Deadline::after(10s));
  CHECK(processes_with(mark).empty());
}
