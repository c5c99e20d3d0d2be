// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/ipc/protocol.hpp"

#include <catch2/catch.hpp>

using namespace vmi;

TEST_CASE("a request arrives as it was sent") {
  Prepare prepare{.backend = Backend::qemu, .node_dir = "/a b,c"};
  prepare.vms.push_back({.index = 3,
                         .name = "vm3",
                         .image_url = "nbd://host/x",
                         .guest = {.cpus = 2, .net = Net::user},
                         .ready = ReadySpec::parse("ssh"),
                         .cpus = {0, 3}});
  const RequestMessage back = parse_request(to_text(RequestMessage{7, prepare}));
  CHECK(back.id == 7);
  const auto& got = std::get<Prepare>(back.request);
  CHECK(got.backend == Backend::qemu);
  CHECK(got.node_dir == "/a b,c");
  REQUIRE(got.vms.size() == 1);
  CHECK(got.vms[0].index == 3);
  CHECK(got.vms[0].guest.cpus == 2);
  CHECK(got.vms[0].guest.net == Net::user);
  CHECK(got.vms[0].ready.kind == ReadySpec::Kind::ssh);
  CHECK(got.vms[0].cpus == CpuSet{0, 3});
}

TEST_CASE("every kind of request and event has a name of its own") {
  CHECK(std::holds_alternative<StopAll>(parse_request(to_text(RequestMessage{1, StopAll{}})).request));
  CHECK(std::holds_alternative<Shutdown>(parse_request(to_text(RequestMessage{1, Shutdown{}})).request));
  CHECK(std::holds_alternative<VmReady>(parse_event(to_text(Event(VmReady{.index = 1})))));
  CHECK(std::holds_alternative<LogLine>(parse_event(to_text(Event(LogLine{.text = "x"})))));
}

TEST_CASE("a guest's bytes that are no UTF-8 do not break a message") {
  const Event event = parse_event(to_text(Event(VmFailed{.index = 1, .last_lines = "ok \xff\xfe end"})));
  CHECK_THAT(std::get<VmFailed>(event).last_lines, Catch::StartsWith("ok ") && Catch::EndsWith(" end"));
}

TEST_CASE("a failed reply becomes the error that it carries") {
  const Event event = parse_event(
      to_text(Event(Reply{.id = 4, .ok = false, .status = ExitStatus::unusable, .message = "no image"})));
  try {
    (void)std::get<Reply>(event).checked();
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.status() == ExitStatus::unusable);
    CHECK_THAT(error.what(), Catch::Equals("no image"));
  }
}

TEST_CASE("nonsense is refused with the text shown") {
  CHECK_THROWS_WITH(parse_event("{]"), Catch::Contains("{]"));
  CHECK_THROWS_WITH(parse_event("{\"type\":\"tea\"}"), Catch::Contains("tea"));
  CHECK_THROWS_AS(parse_request("{\"type\":\"stop_all\"}"), Error);
}
