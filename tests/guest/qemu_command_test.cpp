// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/qemu_command.hpp"

#include "cachegen/guest/block_chain.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

const VmFiles kFiles{.serial_log = "/run/vm/serial.log"};
const std::vector<nlohmann::json> kChain =
    blockdev_chain({.overlay = "/run/vm/o.qcow2", .image_url = "/b", .image_format = "raw"});

Argv command(const GuestSpec& guest, const VmFiles& files = kFiles, const CommandExtras& extras = {}) {
  return qemu_command(guest, "vm0", kChain, files, extras);
}

/// All values that follow `option`.
std::vector<std::string> values(const Argv& argv, const std::string& option) {
  std::vector<std::string> result;
  for (std::size_t i = 0; i + 1 < argv.size(); ++i) {
    if (argv[i] == option) result.push_back(argv[i + 1]);
  }
  return result;
}

bool has(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

TEST_CASE("the whole command of a plain VM") {
  const Argv argv = command({.accel = Accel::kvm});
  const Argv expected = {"qemu-system-x86_64",
                         "-name",
                         "guest=vm0",
                         "-nodefaults",
                         "-no-user-config",
                         "-display",
                         "none",
                         "-sandbox",
                         "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
                         "-machine",
                         "pc,usb=off,vmport=off,hpet=off,dump-guest-core=off",
                         "-rtc",
                         "base=utc,driftfix=slew",
                         "-global",
                         "kvm-pit.lost_tick_policy=delay",
                         "-accel",
                         "kvm",
                         "-cpu",
                         "host",
                         "-m",
                         "512M",
                         "-smp",
                         "1",
                         "-blockdev",
                         kChain[0].dump(),
                         "-blockdev",
                         kChain[1].dump(),
                         "-blockdev",
                         kChain[2].dump(),
                         "-blockdev",
                         kChain[3].dump(),
                         "-device",
                         "virtio-blk-pci,drive=overlay,id=disk",
                         "-object",
                         "rng-builtin,id=entropy",
                         "-device",
                         "virtio-rng-pci,rng=entropy",
                         "-chardev",
                         "file,id=serial,path=/run/vm/serial.log",
                         "-serial",
                         "chardev:serial"};
  CHECK(argv == expected);
}

TEST_CASE("the machine decides the bus of its devices") {
  const Argv argv = command({.machine = Machine::microvm, .memory = 64 * MiB, .cpus = 2, .kernel = "/k"});
  CHECK(has(values(argv, "-device"), "virtio-blk-device,drive=overlay,id=disk"));
  CHECK(has(values(argv, "-global"), "virtio-mmio.force-legacy=false"));
  CHECK(has(values(argv, "-m"), "64M"));
  CHECK(has(values(argv, "-smp"), "2"));
  CHECK(values(argv, "-machine").front() == "microvm,acpi=off,dump-guest-core=off");  // libvirt says -no-acpi
}

TEST_CASE("eventfds carry a microvm's requests under KVM, not under TCG") {
  const Accel accel = GENERATE(Accel::kvm, Accel::tcg);
  const Argv argv = command({.accel = accel, .machine = Machine::microvm, .kernel = "/k"});
  CHECK(has(values(argv, "-global"), "virtio-mmio.ioeventfd=off") == (accel == Accel::tcg));
}

TEST_CASE("kernel arguments reach a disk boot by SMBIOS and a direct boot by -append") {
  const CommandExtras extras{.kernel_args = "systemd.hostname=vm1 a=b,c"};
  CHECK(values(command({}, kFiles, extras), "-smbios") ==
        std::vector<std::string>{"type=2,asset=systemd.hostname=vm1 a=b,,c"});
  CHECK(values(command({.append = "quiet"}, kFiles, extras), "-smbios") ==
        std::vector<std::string>{"type=2,asset=quiet systemd.hostname=vm1 a=b,,c"});
  const Argv direct = command({.kernel = "/k", .initrd = "/i", .append = "console=ttyS0"}, kFiles, extras);
  CHECK(values(direct, "-append") == std::vector<std::string>{"console=ttyS0 systemd.hostname=vm1 a=b,c"});
  CHECK(values(direct, "-initrd") == std::vector<std::string>{"/i"});
  CHECK(values(direct, "-smbios").empty());
}

TEST_CASE("microvm refuses the identity that it cannot deliver") {
  const GuestSpec guest{.machine = Machine::microvm};
  CHECK_THROWS_WITH(command(guest, kFiles, {.kernel_args = "x"}), Catch::Contains("SMBIOS"));
  CHECK_THROWS_WITH(command(guest, kFiles, {.credentials = {"c=d"}}), Catch::Contains("SMBIOS"));
  CHECK_THROWS_WITH(command(guest, kFiles, {.seed = "/s"}), Catch::Contains("--user-data"));
}

TEST_CASE("the guest agent's channel and the ssh forward are there when asked for") {
  VmFiles files = kFiles;
  files.agent_socket = "/run/vm,1/agent";
  const Argv argv = command({.net = Net::user}, files, {.forward_ssh = true, .mac = "52:54:00:00:00:01"});
  CHECK(has(values(argv, "-chardev"), "socket,id=agent,server=on,wait=off,path=/run/vm,,1/agent"));
  CHECK(has(values(argv, "-device"),
            "virtserialport,bus=agent-bus.0,chardev=agent,name=org.qemu.guest_agent.0"));
  CHECK(has(values(argv, "-netdev"), "user,id=net,hostfwd=tcp:127.0.0.1:0-:22"));
  CHECK(has(values(argv, "-device"), "virtio-net-pci,netdev=net,mac=52:54:00:00:00:01"));
}

TEST_CASE("a seed is the last disk, and nothing else changes") {
  const Argv with = command({}, kFiles, {.seed = "/a b,c/seed.img"});
  const Argv without = command({}, kFiles, {});
  REQUIRE(with.size() == without.size() + 4);
  CHECK(std::equal(without.begin(), without.end(), with.begin()));
  const auto node = nlohmann::json::parse(with[without.size() + 1]);
  CHECK(node["file"]["filename"] == "/a b,c/seed.img");
  CHECK(node["read-only"] == true);
  CHECK(with.back() == "virtio-blk-pci,drive=seed,id=seed");
}

TEST_CASE("tracing, direct start and end on reset are switched on when asked for") {
  const Argv argv = command({}, kFiles, {.no_reboot = true, .trace_events = {"a", "b"}, .trace_log = "/t"});
  CHECK(values(argv, "-trace") == std::vector<std::string>{"enable=a", "enable=b"});
  CHECK(values(argv, "-D") == std::vector<std::string>{"/t"});
  CHECK(has(argv, "-no-reboot"));
  CHECK_FALSE(has(argv, "-S"));
}

TEST_CASE("the port of a forward is found in the monitor's table") {
  const std::string table =
      "Hub -1 (net):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n"
      "  UDP[0 sec]  11  10.0.2.15 68 10.0.2.2 67 0 0\r\n"
      "  TCP[HOST_FORWARD]  12       127.0.0.1 45155       10.0.2.15    22     0     0\r\n";
  CHECK(forwarded_port(table, 22) == 45155);
  CHECK(forwarded_port(table, 80) == 0);
  CHECK(forwarded_port("", 22) == 0);
}
