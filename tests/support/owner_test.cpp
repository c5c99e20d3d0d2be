// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/owner.hpp"

#include "cachegen/support/process.hpp"
#include "cachegen/support/socket.hpp"

#include <csignal>

#include <catch2/catch.hpp>
#include <poll.h>

using namespace vmi;

TEST_CASE("an owner is alive while its process runs and dead afterwards") {
  CHECK(Owner::self().state() == Owner::State::alive);
  Child child = spawn({"sleep", "600"});
  const Owner owner = Owner::of(child.pid()).value();
  CHECK(owner.state() == Owner::State::alive);
  child.signal(SIGKILL);
  REQUIRE(wait_fd(child.pidfd().get(), POLLIN, Deadline::after(std::chrono::seconds(30))));
  CHECK(owner.state() == Owner::State::dead);  // not waited for yet
  child.kill_and_reap();
  CHECK(owner.state() == Owner::State::dead);
}

TEST_CASE("a reused pid, another boot and another host are told apart") {
  Owner owner = Owner::self();
  owner.start_ticks += 1;
  CHECK(owner.state() == Owner::State::dead);
  owner = Owner::self();
  owner.boot_id = "another";
  CHECK(owner.state() == Owner::State::dead);
  owner.host = "elsewhere";
  CHECK(owner.state() == Owner::State::unknown);
}

TEST_CASE("an owner survives being written to a folder") {
  const TempFolder folder(temp_root(), "owner-test-");
  CHECK_FALSE(read_owner(folder.path()));
  write_owner(folder.path());
  CHECK(read_owner(folder.path()).value().to_text() == Owner::self().to_text());
}
