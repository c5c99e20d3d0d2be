// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/qmp.hpp"

#include "tests/guest/fake_peer.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

Deadline soon() {
  return Deadline::after(30s);
}

std::string reply_to(const std::string& command, const json& result) {
  return json({{"return", result}, {"id", json::parse(command)["id"]}}).dump() + "\r\n";
}

void greet(FakePeer::Connection& qemu) {
  qemu.say("{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n");
  qemu.say(reply_to(qemu.hear(), json::object()));
}

}  // namespace

TEST_CASE("a command returns what QEMU answers, events in between are kept") {
  FakePeer peer([](FakePeer::Connection& qemu) {
    greet(qemu);
    const std::string command = qemu.hear();
    qemu.say("{\"event\": \"RESUME\", \"timestamp\": {}}\r\n");
    qemu.say(reply_to(command, {{"asked", json::parse(command)["arguments"]}}));
    qemu.hear();
  });
  Qmp qmp(connect_unix(peer.path(), soon()), soon());
  CHECK(qmp.execute("query", {{"a", 1}}, soon()) == json({{"asked", {{"a", 1}}}}));
  const auto event = qmp.poll_event();
  REQUIRE(event);
  CHECK((*event)["event"] == "RESUME");
  CHECK_FALSE(qmp.poll_event());
  CHECK_FALSE(qmp.closed());
}

TEST_CASE("replies are found by id, in whatever order they come") {
  FakePeer peer([](FakePeer::Connection& qemu) {
    greet(qemu);
    const std::string first = qemu.hear();
    const std::string second = qemu.hear();
    qemu.say(reply_to(second, "second") + reply_to(first, "first"));
    qemu.hear();
  });
  Qmp qmp(connect_unix(peer.path(), soon()), soon());
  const auto first = qmp.send("one", {}, soon());
  const auto second = qmp.send("two", {}, soon());
  CHECK(qmp.receive(first, soon()) == "first");
  CHECK(qmp.receive(second, soon()) == "second");
}

TEST_CASE("a refused command is reported with its name and QEMU's reason") {
  FakePeer peer([](FakePeer::Connection& qemu) {
    greet(qemu);
    const json id = json::parse(qemu.hear())["id"];
    qemu.say(json({{"id", id}, {"error", {{"class", "GenericError"}, {"desc", "no such node"}}}}).dump() +
             "\n");
    qemu.hear();
  });
  Qmp qmp(connect_unix(peer.path(), soon()), soon());
  CHECK_THROWS_WITH(qmp.execute("blockdev-del", soon()),
                    Catch::Contains("blockdev-del") && Catch::Contains("no such node"));
}

TEST_CASE("a QEMU that goes away in the middle is reported, and its last events are still there") {
  FakePeer peer([](FakePeer::Connection& qemu) {
    greet(qemu);
    qemu.hear();
    qemu.say("{\"event\": \"SHUTDOWN\"}\r\n");
  });
  Qmp qmp(connect_unix(peer.path(), soon()), soon());
  CHECK_THROWS_WITH(qmp.execute("cont", soon()), Catch::Contains("closed") && Catch::Contains("'cont'"));
  CHECK(qmp.closed());
  const auto event = qmp.poll_event();
  REQUIRE(event);
  CHECK((*event)["event"] == "SHUTDOWN");
}

TEST_CASE("a reply that never comes ends at the deadline") {
  FakePeer peer([](FakePeer::Connection& qemu) {
    greet(qemu);
    qemu.hear();
    qemu.hear();
  });
  Qmp qmp(connect_unix(peer.path(), soon()), soon());
  try {
    qmp.execute("stop", Deadline::after(20ms));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.status() == ExitStatus::timed_out);
    CHECK_THAT(error.what(), Catch::Contains("'stop'"));
  }
}

TEST_CASE("a monitor that speaks no JSON is reported") {
  FakePeer peer([](FakePeer::Connection& qemu) { qemu.say("hello\n"); });
  CHECK_THROWS_WITH(Qmp(connect_unix(peer.path(), soon()), soon()), Catch::Contains("hello"));
}
