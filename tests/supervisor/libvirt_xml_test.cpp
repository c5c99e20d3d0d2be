// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/hypervisor/libvirt_xml.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

using namespace vmi;
using namespace vmi::supervisor;

namespace {

VmPlan plan(const CommandExtras& extras = {}) {
  VmPlan vm{.name = "vm & 1",
            .guest = {.qemu = "/usr/bin/qemu", .accel = Accel::tcg, .memory = 64 * MiB, .cpus = 2}};
  vm.files = {.serial_log = "/run/a,b/serial.log"};
  vm.command = qemu_command(vm.guest, vm.name,
                            {{{"driver", "file"}, {"filename", "/it's \"x\""}, {"node-name", "overlay"}}},
                            vm.files, extras);
  return vm;
}

}  // namespace

TEST_CASE("libvirt gives what it understands, QEMU gets the rest as it is") {
  CommandExtras extras;
  extras.no_reboot = true;
  extras.kernel_args = "-m";  // a value that looks like an option stays a value
  const Argv words = words_for_qemu(plan(extras).command);
  const auto has = [&](const std::string& word) { return std::ranges::find(words, word) != words.end(); };
  for (const char* given : {"-name", "-machine", "-accel", "-m", "-smp", "-nodefaults"})
    CHECK_FALSE(has(given));
  for (const char* passed : {"-blockdev", "-device", "-serial", "-no-reboot", "-smbios", "type=2,asset=-m"})
    CHECK(has(passed));
  CHECK(has("file,id=serial,path=/run/a,,b/serial.log"));
}

TEST_CASE("the XML holds names and words with any characters") {
  const std::string xml = domain_xml(plan());
  CHECK_THAT(xml, Catch::Contains("<name>vm &amp; 1</name>"));
  CHECK_THAT(xml, Catch::Contains("/it&apos;s \\&quot;x\\&quot;"));
  CHECK_THAT(xml, Catch::Contains("<tb-cache unit='MiB'>"));
  CHECK_THAT(xml, Catch::Contains("<memory unit='MiB'>64</memory>"));
  CHECK_THAT(xml, Catch::Contains("<vcpu>2</vcpu>"));
}

TEST_CASE("both backends give a guest under KVM the same timers") {
  VmPlan vm = plan();
  vm.guest.accel = Accel::kvm;
  vm.command =
      qemu_command(vm.guest, vm.name, {{{"driver", "file"}, {"node-name", "overlay"}}}, vm.files, {});
  CHECK_THAT(domain_xml(vm), Catch::Contains("<timer name='hpet' present='no'/>"));
  const Argv words = words_for_qemu(vm.command);
  CHECK(std::ranges::find(words, "-rtc") == words.end());
  CHECK_THAT(domain_xml(plan()), !Catch::Contains("<clock"));
}

TEST_CASE("a VM that is bound says so to libvirt, which would else let it run anywhere") {
  VmPlan vm = plan();
  vm.cpus = {0, 1, 2, 8};
  CHECK_THAT(domain_xml(vm), Catch::Contains("<vcpu cpuset='0-2,8'>2</vcpu>"));
}

TEST_CASE("a word that XML cannot hold is refused with the backend that takes it") {
  VmPlan vm = plan();
  vm.command.push_back(
      "a\x01"
      "b");
  CHECK_THROWS_WITH(domain_xml(vm), Catch::Contains("control character"));
}
