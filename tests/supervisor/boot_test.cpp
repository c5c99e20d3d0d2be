// SPDX-License-Identifier: Apache-2.0
#include "cachegen/build.hpp"
#include "fixture.hpp"

#include <catch2/catch.hpp>

using namespace vmi;

TEST_CASE("VMs are prepared paused, resumed together, ready, and gone") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  fixture.call(fixture.prepare(fixture.vms(3)));
  for (const VmFailed& vm : fixture.all<VmFailed>()) FAIL_CHECK(vm.reason);
  const auto prepared = fixture.all<VmPrepared>();
  REQUIRE(prepared.size() == 3);
  for (const VmPrepared& vm : prepared) {
    CHECK(vm.t_prepare < vm.t_spawn);
    CHECK(fs::file_size(vm.serial_log) == 0);  // the guest has not run
    CHECK_THAT(read_text("/proc/" + std::to_string(vm.pid) + "/status"), Catch::Contains("Seccomp:\t2"));
  }

  fixture.call(ResumeAll{});
  CHECK(fixture.all<VmRunning>().size() == 3);
  const auto ready = fixture.wait_for<VmReady>(3);
  REQUIRE(ready.size() == 3);
  for (const VmReady& vm : ready) CHECK(vm.ready_by == "serial");

  fixture.call(StopAll{});
  const auto stopped = fixture.all<VmStopped>();
  REQUIRE(stopped.size() == 3);
  for (const VmStopped& vm : stopped) {
    CHECK(vm.stats.cpu_s > 0);
    CHECK(vm.stats.rss_bytes > 1'000'000);
    CHECK(vm.stats.bytes_read >= 32 * 1024);
    CHECK(vm.stats.hits == kUnknown);
  }
  fixture.supervisor().shutdown(Deadline::after(std::chrono::seconds(10)));
  CHECK_THAT(fixture.leftovers(), Catch::Equals(""));
}

TEST_CASE("a QEMU that was built without seccomp runs its VMs all the same") {
  Fixture fixture(Backend::qemu);
  const fs::path qemu = fixture.folder() / "qemu";
  write_text_atomically(qemu,
                        "#!/bin/sh\n"
                        "case \" $* \" in *' -sandbox '*)\n"
                        "  echo \"$0: -sandbox: There is no option group 'sandbox'\" >&2; exit 1;;\n"
                        "esac\n"
                        "exec qemu-system-x86_64 \"$@\"\n");
  fs::permissions(qemu, fs::perms::owner_all);
  const ProbeHypervisor probe{.qemu = qemu, .accel = "tcg", .backend = Backend::qemu, .warns = true};
  CHECK_FALSE(fixture.call_for(probe).has_sandbox);
  std::vector<VmSpec> vms = fixture.vms(1);
  vms[0].guest.qemu = qemu.string();
  fixture.call(fixture.prepare(vms));
  for (const VmFailed& vm : fixture.all<VmFailed>()) FAIL_CHECK(vm.reason);
  fixture.call(ResumeAll{});
  CHECK(fixture.wait_for<VmReady>(1).size() == 1);
  fixture.call(StopAll{});
}

TEST_CASE("times of a VM are in order") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  fixture.call(fixture.prepare(fixture.vms(1)));
  fixture.call(ResumeAll{});
  fixture.wait_for<VmReady>(1);
  fixture.call(StopAll{});
  CHECK(fixture.all<VmPrepared>().at(0).t_spawn <= fixture.all<VmRunning>().at(0).t_running);
  CHECK(fixture.all<VmRunning>().at(0).t_running <= fixture.all<VmReady>().at(0).t_ready);
  CHECK(fixture.all<VmReady>().at(0).t_ready <= fixture.all<VmStopped>().at(0).t_stopped);
}

TEST_CASE("a guest that powers off is ready by that with --ready exit") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  auto vms = fixture.vms(2, "POWEROFF");
  for (VmSpec& vm : vms) vm.ready = ReadySpec::parse("exit");
  fixture.call(fixture.prepare(vms));
  fixture.call(ResumeAll{});
  CHECK(fixture.wait_for<VmStopped>(2).size() == 2);
  CHECK(fixture.all<VmReady>().size() == 2);
  CHECK(fixture.all<VmFailed>().empty());
}

TEST_CASE("a guest that says its word and powers off at once is ready, then exited") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  fixture.call(fixture.prepare(fixture.vms(1, "POWEROFF")));
  fixture.call(ResumeAll{});
  fixture.wait_for<VmStopped>(1);
  CHECK(fixture.all<VmReady>().size() == 1);
  CHECK(fixture.all<VmExited>().size() == 1);
  CHECK(fixture.all<VmFailed>().empty());
}

TEST_CASE("with --ready none a VM is ready as soon as it runs") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  auto vms = fixture.vms(1, "SILENT");
  vms[0].ready = ReadySpec::parse("none");
  fixture.call(fixture.prepare(vms));
  fixture.call(ResumeAll{});
  CHECK(fixture.wait_for<VmReady>(1).at(0).t_ready >= fixture.all<VmRunning>().at(0).t_running);
}

TEST_CASE("VMs of several images are prepared in several requests and resumed together") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  fixture.supervisor().send(fixture.prepare(fixture.vms(2)));
  fixture.call(fixture.prepare(fixture.vms(2, "SPIN", 2)));
  fixture.wait_for<VmPrepared>(4);
  fixture.call(ResumeAll{});
  CHECK(fixture.wait_for<VmReady>(2).size() == 2);
  CHECK(fixture.all<VmFailed>().empty());
}

TEST_CASE("a VM's overlay goes with it, and a VM of the same name can be made again") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  const fs::path folder = fixture.call_for(OpenNodeFolder{.node_dir = fixture.folder()}).path;
  for (int time = 1; time <= 2; ++time) {
    fixture.call(fixture.prepare(fixture.vms(1)));
    CHECK(fs::exists(folder / "overlay-0.qcow2"));
    fixture.call(ResumeAll{});
    CHECK(fixture.wait_for<VmReady>(time).size() == static_cast<std::size_t>(time));
    fixture.call(StopAll{});
    CHECK_FALSE(fs::exists(folder / "overlay-0.qcow2"));
  }
  for (const VmFailed& vm : fixture.all<VmFailed>()) FAIL_CHECK(vm.reason);
}

TEST_CASE("an image's cache is built, found again, verified, and boots VMs") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  auto vms = fixture.vms(2);
  const nlohmann::json request = {{"image", vms[0].image_url},
                                  {"guest", vms[0].guest},
                                  {"ready", vms[0].ready},
                                  {"settle_ms", 200},
                                  {"store", (fixture.folder() / "store").string()}};
  const FindCache find{build_request_from_json(request)};
  const FoundCache built = fixture.call_for(find);
  CHECK(built.built);
  CHECK_FALSE(fixture.all<Progress>().empty());
  const std::string cache = built.path;
  const FoundCache found = fixture.call_for(find);
  CHECK_FALSE(found.built);
  CHECK(found.path == cache);

  for (const bool full : {false, true}) {
    const VerifyCache check{.cache = cache, .image_url = vms[0].image_url, .full = full};
    CHECK(fixture.call_for(check).findings.empty());
    const VerifyCache other{.cache = cache, .image_url = fixture.folder() / "SPIN.raw", .full = full};
    CHECK_FALSE(fixture.call_for(other).findings.empty());
  }

  for (VmSpec& vm : vms) vm.cache = cache;
  fixture.call(fixture.prepare(vms));
  fixture.call(ResumeAll{});
  CHECK(fixture.wait_for<VmReady>(2).size() == 2);
}

TEST_CASE("every machine boots with both backends") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  const Machine machine = GENERATE(Machine::q35, Machine::microvm);
  CAPTURE(to_text(fixture.backend()), to_text(machine));
  auto vms = fixture.vms(1);
  GuestSpec guest{.accel = Accel::tcg, .machine = machine, .memory = 64 * MiB};
  if (machine == Machine::microvm) guest.kernel = fs::path(GUEST_FOLDER) / "kernel.elf";  // it boots no disk
  vms[0].guest = guest;
  fixture.call(fixture.prepare(vms));
  for (const VmFailed& vm : fixture.all<VmFailed>()) FAIL_CHECK(vm.reason);
  fixture.call(ResumeAll{});
  CHECK(fixture.wait_for<VmReady>(1).size() == 1);
}

TEST_CASE("a guest boots from every kind of disk, with both backends and in the profile") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  const Disk disk = GENERATE(Disk::scsi, Disk::sata, Disk::nvme);
  const Machine machine = GENERATE(Machine::pc, Machine::q35);
  CAPTURE(to_text(fixture.backend()), to_text(disk), to_text(machine));
  auto vms = fixture.vms(1);
  vms[0].guest.machine = machine;
  vms[0].guest.disk = disk;
  vms[0].guest.user_data = fs::path(GUEST_FOLDER) / "READY.boot";  // any file: the second disk counts
  const BuildRequest request{.image = vms[0].image_url,
                             .guest = vms[0].guest,
                             .ready = vms[0].ready,
                             .settle = std::chrono::milliseconds(0),
                             .store = fixture.folder() / "store"};
  vms[0].cache = fixture.call_for(FindCache{request}).path;
  fixture.call(fixture.prepare(vms));
  for (const VmFailed& vm : fixture.all<VmFailed>()) FAIL_CHECK(vm.reason);
  fixture.call(ResumeAll{});
  CHECK(fixture.wait_for<VmReady>(1).size() == 1);
  fixture.call(StopAll{});
  CHECK(fixture.all<VmStopped>().at(0).stats.bytes_read >= 32 * 1024);
}

TEST_CASE("UEFI starts from a flash, and every VM has its own variables") {
  const fs::path firmware = "/usr/share/OVMF/OVMF_CODE.fd";
  if (!fs::exists(firmware)) {
    WARN("SKIPPED: no '" << firmware.string() << "'; install ovmf");
    return;
  }
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  auto vms = fixture.vms(2, "SILENT");
  for (VmSpec& vm : vms) {
    vm.guest.memory = 128 * MiB;
    vm.guest.firmware = firmware;
    vm.guest.firmware_vars = firmware_vars_beside(firmware);
    vm.ready = ReadySpec::parse("serial:BdsDxe: ");  // OVMF's boot manager looks for something to boot
  }
  const std::string untouched = read_text(vms[0].guest.firmware_vars);
  const BuildRequest request{.image = vms[0].image_url,
                             .guest = vms[0].guest,
                             .ready = vms[0].ready,
                             .settle = std::chrono::milliseconds(0),
                             .store = fixture.folder() / "store"};
  CHECK(fixture.call_for(FindCache{request}).built);
  fixture.call(fixture.prepare(vms));
  for (const VmFailed& vm : fixture.all<VmFailed>()) FAIL_CHECK(vm.reason);
  fixture.call(ResumeAll{});
  CHECK(fixture.wait_for<VmReady>(2).size() == 2);
  for (const VmPrepared& vm : fixture.all<VmPrepared>())
    CHECK(read_text(fs::path(vm.serial_log).parent_path() / "vars.fd") != untouched);
  CHECK(read_text(vms[0].guest.firmware_vars) == untouched);
}

namespace {

/// The line that guest CPU prints of the CPU that it has.
std::string cpu_seen(Backend backend, const std::string& model) {
  Fixture fixture(backend);
  auto vms = fixture.vms(1, "CPU");
  vms[0].guest = GuestSpec{.accel = Accel::tcg, .memory = 64 * MiB, .cpu_model = model};
  vms[0].ready = ReadySpec::parse("serial:x86-64-v2 (yes|no)");
  fixture.call(fixture.prepare(vms));
  for (const VmFailed& vm : fixture.all<VmFailed>()) FAIL_CHECK(vm.reason);
  fixture.call(ResumeAll{});
  REQUIRE(fixture.wait_for<VmReady>(1).size() == 1);
  const std::string text = read_text(fixture.all<VmPrepared>().at(0).serial_log);
  return text.substr(0, text.find('\r'));
}

}  // namespace

TEST_CASE("both backends and the profile show a guest the same CPU, by default an x86-64-v2") {
  const std::string model = GENERATE("", "Nehalem", "qemu64,+ssse3");
  const std::string seen = cpu_seen(Backend::qemu, model);
  CHECK_THAT(seen, Catch::EndsWith(model == "qemu64,+ssse3" ? "v2 no" : "v2 yes"));
  CHECK(cpu_seen(Backend::libvirt, model) == seen);

  Fixture fixture(Backend::qemu);
  const GuestSpec guest{.accel = Accel::tcg, .memory = 64 * MiB, .cpu_model = model};
  const FindCache profile{build_request_from_json({{"image", (fixture.folder() / "CPU.raw").string()},
                                                   {"guest", guest},
                                                   {"ready", "serial:^" + seen + "$"},
                                                   {"settle_ms", 0},
                                                   {"timeout_ms", 20'000},
                                                   {"store", (fixture.folder() / "store").string()}})};
  CHECK(fixture.call_for(profile).built);
}

TEST_CASE("a guest boots under KVM with the CPU model that was asked for") {
  if (const std::string problem = read_accel_facts().kvm_problem; !problem.empty()) {
    WARN("SKIPPED: " << problem);
    return;
  }
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  CAPTURE(to_text(fixture.backend()));
  auto vms = fixture.vms(1);
  vms[0].guest = GuestSpec{.accel = Accel::kvm,
                           .machine = Machine::microvm,
                           .memory = 64 * MiB,
                           .cpu_model = "qemu64",
                           .kernel = fs::path(GUEST_FOLDER) / "kernel.elf"};
  fixture.call(fixture.prepare(vms));
  for (const VmFailed& vm : fixture.all<VmFailed>()) FAIL_CHECK(vm.reason);
  fixture.call(ResumeAll{});
  CHECK(fixture.wait_for<VmReady>(1).size() == 1);
}

TEST_CASE("a CPU model that this node cannot give is refused when the environment is looked at") {
  Fixture fixture(Backend::qemu);
  const ProbeHypervisor probe{.accel = "tcg", .cpu_model = "Skylake-Server", .backend = Backend::qemu};
  CHECK_THROWS_WITH(fixture.call(probe), Catch::Contains("lacks") && Catch::Contains("avx512f"));
}

TEST_CASE("VMs start after the environment was asked for an explicit backend") {
  Fixture fixture(GENERATE(Backend::libvirt, Backend::qemu));
  const ProbeHypervisor probe{.accel = "tcg", .backend = fixture.backend()};
  const HypervisorFacts environment = fixture.call_for(probe);
  CHECK(environment.backend == fixture.backend());
  CHECK(environment.libvirt_version.empty() == (fixture.backend() == Backend::qemu));
  fixture.call(Warm{.backend = fixture.backend(), .accel = "tcg"});
  fixture.call(fixture.prepare(fixture.vms(1)));
  CHECK(fixture.all<VmPrepared>().size() == 1);
}

TEST_CASE("the environment is told, and a domain described without starting it") {
  Fixture fixture(Backend::automatic);
  const HypervisorFacts environment = fixture.call_for(ProbeHypervisor{.accel = "tcg"});
  CHECK(environment.backend == Backend::libvirt);
  CHECK(environment.accel == "tcg");
  CHECK_FALSE(environment.qemu_version.empty());
  CHECK_FALSE(environment.libvirt_version.empty());

  Describe describe{.backend = Backend::libvirt, .node_dir = fixture.folder(), .vm = fixture.vms(1)[0]};
  const std::string xml = fixture.call_for(describe).text;
  CHECK_THAT(xml, Catch::Contains("<name>vm0</name>"));
  describe.backend = Backend::qemu;
  const std::string command = fixture.call_for(describe).text;
  CHECK_THAT(command, Catch::Contains("-blockdev"));
}
