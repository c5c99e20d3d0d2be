// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/stale.hpp"

#include "cachegen/support/owner.hpp"
#include "cachegen/support/process.hpp"

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

fs::path make_folder(const fs::path& parent, const std::string& name, const std::string& owner) {
  fs::create_directory(parent / name);
  if (!owner.empty()) write_text_atomically(parent / name / "owner", owner);
  write_text_atomically(parent / name / "content", "x");
  return parent / name;
}

std::string text_of_dead_owner() {
  Owner owner = Owner::self();
  owner.start_ticks += 1;  // the process with our number is another one
  return owner.to_text();
}

}  // namespace

TEST_CASE("only folders of dead owners with the prefix are removed") {
  const TempFolder parent(temp_root(), "stale-test-");
  const fs::path dead = make_folder(parent.path(), "mine-dead", text_of_dead_owner());
  const fs::path locked = make_folder(parent.path(), "mine-locked", text_of_dead_owner());
  const Fd lock = stamp_folder(locked);
  write_text_atomically(locked / "owner", text_of_dead_owner());
  const fs::path alive = make_folder(parent.path(), "mine-alive", Owner::self().to_text());
  const fs::path ownerless = make_folder(parent.path(), "mine-ownerless", "");
  const fs::path other = make_folder(parent.path(), "other-dead", text_of_dead_owner());
  fs::create_directory_symlink(other, parent.path() / "mine-link");

  CHECK(remove_stale_folders(parent.path(), "mine-") == 1);
  CHECK_FALSE(fs::exists(dead));
  CHECK(fs::exists(alive / "content"));
  CHECK(fs::exists(locked / "content"));
  CHECK(fs::exists(ownerless / "content"));
  CHECK(fs::exists(other / "content"));
}

TEST_CASE("a parent that cannot be listed is no error") {
  CHECK(remove_stale_folders("/no/such/folder", "x") == 0);
}
