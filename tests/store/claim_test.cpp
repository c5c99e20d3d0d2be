// SPDX-License-Identifier: Apache-2.0
#include "cachegen/store/claim.hpp"

#include "cachegen/support/owner.hpp"
#include "cachegen/support/process.hpp"
#include "tests/eventually.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

void backdate(const fs::path& path, std::chrono::seconds age) {
  fs::last_write_time(path, fs::last_write_time(path) - age);
}

}  // namespace

TEST_CASE("a claim is held once, and free again after its end") {
  const TempFolder folder(temp_root(), "claim-test-");
  const fs::path path = folder.path() / "a.claim";
  CHECK(Claim::holder(path).empty());
  {
    const std::optional<Claim> claim = Claim::take(path, 1s);
    REQUIRE(claim);
    CHECK_FALSE(Claim::take(path, 1s));
    const Owner self = Owner::self();
    CHECK(Claim::holder(path) == self.host + ":" + std::to_string(self.pid));
    CHECK_FALSE(Claim::clear_if_abandoned(path, 60s));
  }
  CHECK_FALSE(fs::exists(path));
  CHECK(Claim::take(path, 1s));
}

TEST_CASE("the claim of a dead process is cleared at once") {
  const TempFolder folder(temp_root(), "claim-test-");
  const fs::path path = folder.path() / "a.claim";
  Child child = spawn({"sleep", "600"});
  const std::string owner = Owner::of(child.pid()).value().to_text();
  child.kill_and_reap();
  fs::create_directory(path);
  write_text_atomically(path / "owner", owner + "\n");
  CHECK(Claim::clear_if_abandoned(path, 1h));
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("a claim from another host is abandoned once nobody touched it for long") {
  const TempFolder folder(temp_root(), "claim-test-");
  const fs::path path = folder.path() / "a.claim";
  fs::create_directory(path);
  write_text_atomically(path / "owner", "1 1 some-boot another-host\n");
  CHECK_FALSE(Claim::clear_if_abandoned(path, 60s));
  backdate(path / "owner", 120s);
  CHECK(Claim::clear_if_abandoned(path, 60s));
}

TEST_CASE("a claim without an owner file, left by a kill at its making, is abandoned in time too") {
  const TempFolder folder(temp_root(), "claim-test-");
  const fs::path path = folder.path() / "a.claim";
  fs::create_directory(path);
  CHECK_FALSE(Claim::clear_if_abandoned(path, 60s));
  backdate(path, 120s);
  CHECK(Claim::clear_if_abandoned(path, 60s));
}

TEST_CASE("a holder's heart beats: its claim does not age") {
  const TempFolder folder(temp_root(), "claim-test-");
  const fs::path path = folder.path() / "a.claim";
  const std::optional<Claim> claim = Claim::take(path, 5ms);
  backdate(path / "owner", 3600s);
  CHECK(testing::eventually(
      [&] { return file_system_now(folder.path()) - fs::last_write_time(path / "owner") < 60s; }));
}

TEST_CASE("a holder whose claim was taken from it leaves the new holder's alone") {
  const TempFolder folder(temp_root(), "claim-test-");
  const fs::path path = folder.path() / "a.claim";
  {
    const std::optional<Claim> claim = Claim::take(path, 1h);
    fs::remove_all(path);
    fs::create_directory(path);
    write_text_atomically(path / "owner", "1 1 some-boot another-host\n");
  }
  CHECK(fs::exists(path / "owner"));
}
