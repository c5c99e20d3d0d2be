// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/guest.hpp"
#include "fixture.hpp"
#include "tests/eventually.hpp"

#include <csignal>
#include <cstring>

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

/// A server that takes connections and never says a word.
Fd mute_server(const fs::path& path) {
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  REQUIRE(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(fd.get(), 16) == 0);
  return fd;
}

std::vector<VmSpec> vms_on_mute_server(const Fixture& fixture, const fs::path& socket, int count) {
  auto vms = fixture.vms(count);
  for (VmSpec& vm : vms) vm.image_url = "nbd+unix:///?socket=" + socket.string();
  return vms;
}

}  // namespace

TEST_CASE("a guest that never gets ready fails with a reason, and its log is kept") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  fixture.call(fixture.prepare(fixture.vms(1, "SPIN")));
  fixture.call(ResumeAll{.ready_timeout_ms = 500});
  REQUIRE(fixture.wait_for<VmStopped>(1).size() == 1);
  const VmFailed failed = fixture.all<VmFailed>().at(0);
  CHECK(failed.timed_out);
  CHECK_THAT(failed.reason,
             Catch::Contains("not ready") && Catch::Contains("serial:^READY") && Catch::Contains("0.50 s"));
  CHECK(failed.last_lines == "spinning");
  CHECK_THAT(read_text(failed.kept_log), Catch::Contains("spinning"));
  CHECK(fixture.all<VmStopped>().at(0).stats.bytes_read > 0);
}

TEST_CASE("QEMU's own words are in the failure of a VM that it refuses, and the others go on") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  auto vms = fixture.vms(3);
  vms[1].image_url = "/no such/image.raw";
  fixture.call(fixture.prepare(vms));
  CHECK(fixture.all<VmPrepared>().size() == 2);
  REQUIRE(fixture.all<VmFailed>().size() == 1);
  CHECK_THAT(fixture.all<VmFailed>()[0].reason,
             Catch::Contains("/no such/image.raw") && Catch::Contains("No such file"));
}

TEST_CASE("a guest that powers off before it is ready has failed") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  auto vms = fixture.vms(1, "POWEROFF");
  vms[0].ready = ReadySpec::parse("serial:login: ");
  fixture.call(fixture.prepare(vms));
  fixture.call(ResumeAll{});
  fixture.wait_for<VmStopped>(1);
  CHECK_THAT(fixture.all<VmFailed>().at(0).reason, Catch::Contains("powered off before it was ready"));
  CHECK_THAT(fixture.all<VmFailed>().at(0).last_lines, Catch::Contains("READY"));
}

TEST_CASE("a QEMU that is killed or told to end is told apart from a guest that powers off") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  fixture.call(fixture.prepare(fixture.vms(2, "SPIN")));
  fixture.call(ResumeAll{});
  fixture.wait_for<VmRunning>(2);
  const auto prepared = fixture.all<VmPrepared>();
  kill(prepared[0].pid, SIGKILL);
  kill(prepared[1].pid, SIGTERM);
  fixture.wait_for<VmStopped>(2);
  const auto failed = fixture.all<VmFailed>();
  REQUIRE(failed.size() == 2);
  for (const VmFailed& vm : failed) {
    CHECK_THAT(vm.reason, vm.index == prepared[0].index ? Catch::Contains("killed by signal 9")
                                                        : Catch::Contains("terminating on signal 15"));
  }
}

TEST_CASE("a QEMU that hangs at its start is given up at the deadline") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  const fs::path socket = fixture.runtime_root() / "mute";
  const Fd server = mute_server(socket);
  Prepare request = fixture.prepare(vms_on_mute_server(fixture, socket, 2));
  request.create_timeout_ms = 1000;
  fixture.call(request);
  CHECK(fixture.all<VmFailed>().size() == 2);
  CHECK(fixture.all<VmPrepared>().empty());
  CHECK(processes_with(fixture.runtime_root().string() + "/vmilaunch-").empty());
}

TEST_CASE("stopping ends QEMUs that hang at their start") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  const fs::path socket = fixture.runtime_root() / "mute";
  const Fd server = mute_server(socket);
  fixture.supervisor().send(fixture.prepare(vms_on_mute_server(fixture, socket, 20)));
  REQUIRE(testing::eventually([&] { return !processes_with(socket).empty(); }));
  fixture.call(StopAll{});
  fixture.supervisor().shutdown(Deadline::after(10s));
  CHECK_THAT(fixture.leftovers(), Catch::Equals(""));
}

TEST_CASE("requests that cannot be met are refused with their reason and status") {
  Fixture fixture(Backend::automatic);
  const auto status_of = [&](SupervisorRequest request) {
    try {
      fixture.call(std::move(request));
    } catch (const Error& error) {
      return error.status();
    }
    return ExitStatus::ok;
  };
  CHECK(status_of(ProbeHypervisor{.qemu = "no-such-qemu"}) == ExitStatus::environment);
  CHECK(status_of(ProbeHypervisor{.qemu = "/bin/true"}) == ExitStatus::environment);
  CHECK(status_of(ProbeHypervisor{.machine = "toaster"}) == ExitStatus::usage);
  CHECK(status_of(InspectImage{.url = "/no such image"}) == ExitStatus::unusable);
  CHECK(status_of(RunCommand{}) == ExitStatus::usage);
  CHECK(status_of(OpenNodeFolder{.node_dir = "/proc/nothing"}) == ExitStatus::environment);
  auto vms = fixture.vms(1);
  vms[0].ready.kind = ReadySpec::Kind::ssh;  // without --net user
  Describe describe{.backend = Backend::qemu, .node_dir = fixture.folder(), .vm = vms[0]};
  CHECK(status_of(describe) == ExitStatus::usage);
}

TEST_CASE("a supervisor that cannot make its folder says so to every request") {
  Supervisor supervisor = Supervisor::start({.runtime_root = "/proc/nothing"});
  CHECK_THROWS_WITH(supervisor.call(StopAll{}, Deadline::after(20s)), Catch::Contains("/proc/nothing"));
  CHECK_THROWS_WITH(supervisor.call(Warm{}, Deadline::after(20s)), Catch::Contains("/proc/nothing"));
}
