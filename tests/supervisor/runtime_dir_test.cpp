// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/runtime_dir.hpp"

#include "cachegen/support/owner.hpp"
#include "cachegen/support/process.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>

using namespace vmi;

namespace {

/// A folder as a supervisor that was killed leaves it.
fs::path stale_folder(const fs::path& root, const std::string& name) {
  Child child = spawn({"sleep", "600"});
  const Owner owner = Owner::of(child.pid()).value();
  child.kill_and_reap();
  fs::path folder = root / name;
  fs::create_directory(folder);
  write_text_atomically(folder / "owner", owner.to_text() + "\n");
  return folder;
}

}  // namespace

TEST_CASE("a runtime folder is private, and gone at its end") {
  const TempFolder root(temp_root(), "runtime-test-");
  fs::path path;
  {
    const RuntimeDir folder(root.path());
    path = folder.path();
    struct stat info {};
    REQUIRE(stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0700);
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("a sweep removes what the dead left and nothing else") {
  const TempFolder root(temp_root(), "runtime-test-");
  const RuntimeDir alive(root.path());
  const fs::path dead = stale_folder(root.path(), "vmilaunch-run-dead00");
  const fs::path unrelated = stale_folder(root.path(), "another-program");
  fs::create_directory(root.path() / "vmilaunch-run-making");
  write_text_atomically(dead / "file", "x");
  CHECK(sweep_stale(root.path()).folders == 1);
  CHECK_FALSE(fs::exists(dead));
  CHECK(fs::exists(alive.path()));
  CHECK(fs::exists(unrelated));
  CHECK(fs::exists(root.path() / "vmilaunch-run-making"));
}

TEST_CASE("a folder whose owner cannot be seen but holds its lock is left alone") {
  const TempFolder root(temp_root(), "runtime-test-");
  const RuntimeDir elsewhere(
      root.path());  // as a supervisor in another pid namespace: alive, its pid means nothing here
  fs::copy_file(stale_folder(root.path(), "vmilaunch-run-dead00") / "owner", elsewhere.path() / "owner",
                fs::copy_options::overwrite_existing);
  CHECK(sweep_stale(root.path()).folders == 1);
  CHECK(fs::exists(elsewhere.path()));
}

TEST_CASE("a sweep kills the emulators that work in a dead folder, and only those") {
  const TempFolder root(temp_root(), "runtime test,");
  const fs::path dead = stale_folder(root.path(), "vmilaunch-run-dead00");
  const std::string tail_program = fs::canonical(find_program("tail").value());
  write_text_atomically(dead / "emulators", tail_program + "\n");
  write_text_atomically(dead / "file", "");
  const Child left = spawn({"tail", "-f", (dead / "file").string()});
  fs::copy_file(tail_program, root.path() / "reader");
  Child reader = spawn(
      {(root.path() / "reader").string(), "-f", (dead / "file").string()});  // another program, same path
  Child elsewhere = spawn({"tail", "-f", "/dev/null"});                      // same program, another path
  CHECK(sweep_stale(root.path()).processes == 1);
  CHECK_FALSE(reader.wait(Deadline::after(std::chrono::milliseconds(0))));
  CHECK_FALSE(elsewhere.wait(Deadline::after(std::chrono::milliseconds(0))));
}

TEST_CASE("a sweep leaves folders alone that are only named alike") {
  // The default --node-dir lies beside the runtime folders, and once went with the first launch a minute
  // later.
  const TempFolder root(temp_root(), "runtime-test-");
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(2);
  for (const char* name : {"vmilaunch-0", "vmilaunch-1000", "vmilaunch-demo-aB3dE6", "vmilaunch-run-a",
                           "vmilaunch-run-aB3dE67"}) {
    fs::create_directory(root.path() / name);
    fs::last_write_time(root.path() / name, old);
  }
  fs::create_directory(root.path() / "vmilaunch-run-aB3dE6");  // half removed: without its owner
  fs::last_write_time(root.path() / "vmilaunch-run-aB3dE6", old);
  CHECK(sweep_stale(root.path()).folders == 1);
  CHECK_FALSE(fs::exists(root.path() / "vmilaunch-run-aB3dE6"));
  CHECK(fs::exists(root.path() / "vmilaunch-0"));
  CHECK(fs::exists(root.path() / "vmilaunch-demo-aB3dE6"));
}
