// SPDX-License-Identifier: Apache-2.0
// VMs that are created before their launch asks for them.
#include "fixture.hpp"

#include <catch2/catch.hpp>
#include <unistd.h>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

PrepareAhead ahead(const Fixture& fixture, std::vector<VmSpec> specs) {
  return {.backend = fixture.backend(), .node_dir = fixture.folder(), .vms = std::move(specs)};
}

std::size_t qemus_of(const Fixture& fixture) {
  return processes_with(fixture.runtime_root().string() + "/vmilaunch-").size();
}

/// Waits for `count` QEMUs, created or being created.
void wait_for_qemus(const Fixture& fixture, std::size_t count) {
  const Deadline deadline = Deadline::after(20s);
  while (qemus_of(fixture) != count && !deadline.passed()) usleep(5000);
  REQUIRE(qemus_of(fixture) == count);
}

void check_that_all_start(Fixture& fixture, const std::vector<VmSpec>& vms) {
  fixture.call(fixture.prepare(vms));
  for (const VmFailed& vm : fixture.all<VmFailed>()) FAIL_CHECK(vm.reason);
  REQUIRE(fixture.all<VmPrepared>().size() == vms.size());
  fixture.call(ResumeAll{});
  CHECK(fixture.wait_for<VmReady>(static_cast<int>(vms.size())).size() == vms.size());
  wait_for_qemus(fixture, vms.size());
  fixture.call(StopAll{});
  fixture.supervisor().shutdown(Deadline::after(10s));
  CHECK_THAT(fixture.leftovers(), Catch::Equals(""));
}

}  // namespace

TEST_CASE("a VM created ahead is the one that is then prepared") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  const std::vector<VmSpec> vms = fixture.vms(2);
  fixture.call(ahead(fixture, vms));
  wait_for_qemus(fixture, 2);
  CHECK(fixture.all<VmPrepared>().empty());
  const std::int64_t asked = monotonic_ns();
  fixture.call(fixture.prepare(vms));
  REQUIRE(fixture.all<VmPrepared>().size() == 2);
  for (const VmPrepared& vm : fixture.all<VmPrepared>()) CHECK(vm.t_prepare < asked);
  CHECK(qemus_of(fixture) == 2);
  fixture.call(ResumeAll{});
  CHECK(fixture.wait_for<VmReady>(2).size() == 2);
  fixture.call(StopAll{});
  CHECK(fixture.all<VmStopped>().size() == 2);
  fixture.supervisor().shutdown(Deadline::after(10s));
  CHECK_THAT(fixture.leftovers(), Catch::Equals(""));
}

TEST_CASE("a VM created ahead otherwise than it is wanted makes way") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  const std::vector<VmSpec> vms = fixture.vms(2);
  std::vector<VmSpec> others = vms;
  const std::string what = GENERATE("image", "size", "CPUs");
  CAPTURE(what);
  if (what == "image") others[0].image_url = fixture.folder() / "SPIN.raw";
  if (what == "size") others[0].virtual_bytes += 1 * MiB;
  fixture.call(ahead(fixture, others));
  wait_for_qemus(fixture, 2);
  if (what == "CPUs") fixture.call(UseCpus{"0"});
  const std::int64_t asked = monotonic_ns();
  fixture.call(fixture.prepare(vms));
  for (const VmFailed& vm : fixture.all<VmFailed>()) FAIL_CHECK(vm.reason);
  REQUIRE(fixture.all<VmPrepared>().size() == 2);
  for (const VmPrepared& vm : fixture.all<VmPrepared>())
    CHECK((vm.t_prepare > asked) == (vm.index == 0 || what == "CPUs"));
  CHECK(qemus_of(fixture) == 2);
  fixture.call(StopAll{});
  fixture.supervisor().shutdown(Deadline::after(10s));
  CHECK_THAT(fixture.leftovers(), Catch::Equals(""));
}

TEST_CASE("VMs created ahead that nobody wants end when the others start") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  fixture.call(ahead(fixture, fixture.vms(3)));
  wait_for_qemus(fixture, 3);
  check_that_all_start(fixture, fixture.vms(1));
}

TEST_CASE("a VM that is prepared while it is being created ahead is created once") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  fixture.call(ahead(fixture, fixture.vms(2)));
  check_that_all_start(fixture, fixture.vms(2));
}

TEST_CASE("a VM that cannot be created ahead is created when it is prepared") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  std::vector<VmSpec> vms = fixture.vms(1);
  const std::string what = GENERATE("image", "format", "emulator");
  if (what == "image") vms[0].image_url = fixture.folder() / "missing.raw";
  if (what == "format") vms[0].image_format = "qcow2";  // QEMU ends at its start
  if (what == "emulator") vms[0].guest["qemu"] = "/missing/qemu";
  fixture.call(ahead(fixture, vms));
  check_that_all_start(fixture, fixture.vms(1));
  CHECK(fixture.all<VmFailed>().empty());
}

TEST_CASE("VMs created ahead end with the rank") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  fixture.call(ahead(fixture, fixture.vms(2)));
  if (GENERATE(true, false)) wait_for_qemus(fixture, 2);
  fixture.supervisor().shutdown(Deadline::after(10s));
  CHECK_THAT(fixture.leftovers(), Catch::Equals(""));
}
