// SPDX-License-Identifier: Apache-2.0
// Nothing outlives a launch, whatever its processes die of.
#include "cachegen/support/process.hpp"
#include "fixture.hpp"
#include "launcher/supervisor/runtime_dir.hpp"
#include "rank_that_holds.hpp"
#include "tests/eventually.hpp"

#include <algorithm>
#include <thread>

#include <catch2/catch.hpp>
#include <signal.h>
#include <unistd.h>

using namespace vmi;
using vmi::testing::eventually;
using namespace std::chrono_literals;

namespace {}  // namespace

TEST_CASE("closing the rank's end ends VMs in whatever state they are") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  const std::string state = GENERATE("creating", "paused", "running", "ready");
  CAPTURE(to_text(fixture.backend()), state);
  const Prepare request = fixture.prepare(fixture.vms(4, state == "ready" ? "READY" : "SPIN"));
  if (state == "creating") {
    fixture.supervisor().send(request);
    REQUIRE(
        eventually([&] { return !processes_with(fixture.runtime_root().string() + "/vmilaunch-").empty(); }));
  } else {
    fixture.call(request);
  }
  if (state == "running" || state == "ready") fixture.call(ResumeAll{});
  if (state == "ready") fixture.wait_for<VmReady>(4);
  fixture.supervisor().shutdown(Deadline::after(10s));
  CHECK_THAT(fixture.leftovers(), Catch::Equals(""));
}

TEST_CASE("libvirt's own look at QEMU ends with the rank") {
  Fixture fixture(Backend::libvirt);
  fixture.supervisor().send(Warm{.backend = Backend::libvirt, .accel = "tcg"});
  std::this_thread::sleep_for(GENERATE(0ms, 20ms, 100ms, 300ms));  // wherever in its look it is hit
  fixture.supervisor().shutdown(Deadline::after(10s));
  CHECK_THAT(fixture.leftovers(), Catch::Equals(""));
}

TEST_CASE("a profile under way ends with the rank") {
  Fixture fixture(Backend::libvirt);
  const VmSpec vm = fixture.vms(1, "SPIN")[0];
  fixture.supervisor().send(
      FindCache{build_request_from_json({{"image", vm.image_url},
                                         {"guest", vm.guest},
                                         {"ready", vm.ready},
                                         {"store", (fixture.folder() / "store").string()}})});
  REQUIRE(eventually([&] {
    return std::ranges::any_of(processes_with(vm.image_url), [](const std::string& command) {
      return command.find("virtio_blk_handle") != std::string::npos;  // this profile's QEMU, no other test's
    });
  }));
  fixture.supervisor().shutdown(Deadline::after(10s));
  CHECK(processes_with(fixture.folder()).empty());
  const fs::path store = fixture.folder() / "store";
  REQUIRE(fs::exists(store));
  for (const auto& left : fs::recursive_directory_iterator(store)) CHECK(left.is_directory());
}

TEST_CASE("a rank killed by SIGKILL leaves nothing") {
  const RankThatHolds rank(GENERATE("libvirt", "qemu"));
  REQUIRE(eventually([&] { return rank.is_ready(); }));
  kill(rank.pid(), SIGKILL);
  CHECK(eventually([&] { return rank.leftovers().empty(); }));
}

TEST_CASE("a supervisor killed by SIGKILL is cleaned up after by its rank") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  fixture.call(fixture.prepare(fixture.vms(2, "SPIN")));
  fixture.call(ResumeAll{});
  kill(fixture.supervisor().pid(), SIGKILL);
  CHECK_THROWS_WITH(fixture.call(StopAll{}), Catch::Contains("supervisor has ended (killed by signal 9"));
  CHECK(sweep_stale(fixture.folder()).folders ==
        1);  // the overlays: the next launch with this --node-dir does that
  CHECK(eventually([&] { return fixture.leftovers().empty(); }));
}

TEST_CASE("when rank and supervisor are killed, the next sweep cleans") {
  const RankThatHolds rank(GENERATE("libvirt", "qemu"));
  REQUIRE(eventually([&] { return rank.is_ready(); }));
  kill(rank.pid(), SIGSTOP);  // so that it does not sweep
  kill(rank.supervisor_pid(), SIGKILL);
  kill(rank.pid(), SIGKILL);
  REQUIRE(eventually(
      [&] { return kill(rank.supervisor_pid(), 0) != 0 || sweep_stale(rank.runtime_root()).folders == 1; }));
  sweep_stale(rank.runtime_root());
  sweep_stale(rank.node_dir());
  CHECK_THAT(rank.leftovers(), Catch::Equals(""));
}

TEST_CASE("a new supervisor sweeps what a dead one left") {
  const RankThatHolds rank("libvirt");
  REQUIRE(eventually([&] { return rank.is_ready(); }));
  kill(rank.pid(), SIGSTOP);
  kill(rank.supervisor_pid(), SIGKILL);
  kill(rank.pid(), SIGKILL);
  REQUIRE(eventually([&] {
    Supervisor next = Supervisor::start({.runtime_root = rank.runtime_root()});
    next.call(OpenNodeFolder{.node_dir = rank.node_dir()}, Deadline::after(20s));
    next.shutdown(Deadline::after(10s));
    return rank.leftovers().empty();
  }));
}

TEST_CASE("SIGTERM to the supervisor stops the VMs in order; SIGINT and SIGHUP are left to the rank") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  fixture.call(fixture.prepare(fixture.vms(2)));
  fixture.call(ResumeAll{});
  fixture.wait_for<VmReady>(2);
  kill(fixture.supervisor().pid(), SIGINT);
  kill(fixture.supervisor().pid(), SIGHUP);
  kill(fixture.supervisor().pid(), SIGTERM);
  CHECK(fixture.wait_for<VmStopped>(2).size() == 2);
  CHECK(fixture.all<Interrupted>().size() == 1);
  CHECK(fixture.all<VmFailed>().empty());
  for (const VmStopped& vm : fixture.all<VmStopped>()) CHECK(vm.stats.bytes_read > 0);
  fixture.call(StopAll{});
}

TEST_CASE("an ordinary user, without a writable home, can do the same") {
  if (geteuid() != 0) return;  // then every other test shows it
  const TempFolder folder("/dev/shm", "user-");
  fs::permissions(folder.path(), fs::perms::all);
  const fs::path program = folder.path() / "test";
  fs::copy_file("/proc/self/exe", program);
  for (const auto& entry : fs::directory_iterator(GUEST_FOLDER)) {
    if (entry.path().extension() == ".boot")
      fs::copy_file(entry.path(), folder.path() / entry.path().filename());
  }
  const std::map<std::string, std::string> environment = {{"HOME", "/nonexistent"},
                                                          {"TMPDIR", folder.path()},
                                                          {"GUEST_FOLDER", folder.path()},
                                                          {"XDG_CACHE_HOME", ""}};
  const RunResult result = run({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                                program.string(), "VMs are prepared*,closing the rank's end*"},
                               Deadline::after(200s), environment);
  CAPTURE(result.out, result.err);
  CHECK(result.ok());
}
