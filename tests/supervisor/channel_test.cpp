// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/ipc/channel.hpp"

#include "cachegen/support/socket.hpp"

#include <thread>

#include <catch2/catch.hpp>

using namespace vmi;
using namespace std::chrono_literals;

TEST_CASE("messages of every size arrive whole and in order") {
  auto [left, right] = Channel::pair();
  const std::vector<std::string> sent = {
      "", "a", std::string(32 * 1024 - 1, 'b'), std::string(32 * 1024, 'c'), std::string(5'000'000, 'd'),
      "e"};
  std::thread sender([&left = left, &sent] {
    for (const std::string& message : sent) left.send(message);
    left.flush(Deadline::after(30s));
  });
  for (const std::string& expected : sent) {
    std::string got;
    const Deadline deadline = Deadline::after(30s);
    while (right.receive(got) != Channel::Status::message && !deadline.passed())
      wait_fd(right.fd(), 1, deadline);
    CHECK((got == expected));
  }
  sender.join();
}

TEST_CASE("sending to a peer that reads nothing queues instead of blocking") {
  auto [left, right] = Channel::pair();
  for (int i = 0; i < 100; ++i) CHECK(left.send(std::string(100'000, 'x')));
  CHECK(left.has_queued());
}

TEST_CASE("a peer that has gone is noticed by reader and writer") {
  auto [left, right] = Channel::pair();
  left.send("last words");
  left = Channel();
  std::string got;
  CHECK(right.receive(got) == Channel::Status::message);
  CHECK(got == "last words");
  CHECK(right.receive(got) == Channel::Status::closed);
  CHECK_FALSE(right.send("anybody?"));
}
