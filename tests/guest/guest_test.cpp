// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/guest.hpp"

#include "cachegen/support/log.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

/// Collects what is logged while it lives.
struct LogCapture {
  std::string text;
  LogCapture() {
    log_sink([this](LogLevel, std::string_view line) { text += std::string(line) + "\n"; });
  }
  ~LogCapture() { log_sink({}); }
};

}  // namespace

TEST_CASE("automatic acceleration is kvm only where it helps") {
  LogCapture log;
  CHECK(resolve_accel(Accel::automatic, {.kvm_problem = "", .cpu_offers_virtualization = true}) ==
        Accel::kvm);
  CHECK(log.text.empty());
  CHECK(resolve_accel(Accel::automatic, {.kvm_problem = "", .cpu_offers_virtualization = false}) ==
        Accel::tcg);
  CHECK_THAT(log.text, Catch::Contains("neither vmx nor svm"));
  log.text.clear();
  const AccelFacts closed{.kvm_problem = "cannot open '/dev/kvm': Permission denied",
                          .cpu_offers_virtualization = true};
  CHECK(resolve_accel(Accel::automatic, closed) == Accel::tcg);
  CHECK_THAT(log.text, Catch::Contains("Permission denied"));
}

TEST_CASE("explicit kvm needs /dev/kvm alone, and says what is wrong with it") {
  CHECK(resolve_accel(Accel::kvm, {.kvm_problem = "", .cpu_offers_virtualization = false}) == Accel::kvm);
  try {
    resolve_accel(Accel::kvm, {.kvm_problem = "cannot open '/dev/kvm': No such file or directory"});
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.status() == ExitStatus::environment);
    CHECK_THAT(error.what(), Catch::Contains("/dev/kvm") && Catch::Contains("--accel tcg"));
  }
}

TEST_CASE("explicit tcg warns of nothing") {
  LogCapture log;
  CHECK(resolve_accel(Accel::tcg, {.kvm_problem = "gone"}) == Accel::tcg);
  CHECK(log.text.empty());
}

TEST_CASE("a guest has the node's CPU under KVM, all that QEMU emulates under TCG, or the one it is given") {
  CHECK(cpu_model_of({.accel = Accel::kvm}) == "host");
  CHECK(cpu_model_of({.accel = Accel::tcg}) == "max");
  CHECK(cpu_model_of({.accel = Accel::kvm, .cpu_model = "Nehalem"}) == "Nehalem");
}

TEST_CASE("the template of a firmware's variables is found beside it") {
  const TempFolder folder(temp_root(), "firmware-test-");
  const auto beside = [&](const std::string& name) { return firmware_vars_beside(folder.path() / name); };
  for (const char* name : {"OVMF_VARS_4M.ms.fd", "edk2-i386-vars.fd"})
    write_text_atomically(folder.path() / name, "");
  CHECK(beside("OVMF_CODE_4M.ms.fd") == folder.path() / "OVMF_VARS_4M.ms.fd");
  CHECK(beside("edk2-x86_64-secure-code.fd") == folder.path() / "edk2-i386-vars.fd");
  CHECK(beside("bios-microvm.bin").empty());
  CHECK_THROWS_WITH(beside("OVMF_CODE.fd"),
                    Catch::Contains("OVMF_VARS.fd") && Catch::Contains("--firmware-vars"));
}

TEST_CASE("what a machine cannot attach is refused") {
  CHECK_THROWS_WITH(check_guest({.machine = Machine::microvm, .kernel = "/etc/passwd", .disk = Disk::nvme}),
                    Catch::Contains("--disk nvme"));
  CHECK_THROWS_WITH(check_guest({.firmware_vars = "/etc/passwd"}), Catch::Contains("--firmware-vars needs"));
}

TEST_CASE("names of enums go there and back") {
  for (const Accel accel : {Accel::automatic, Accel::kvm, Accel::tcg})
    CHECK(parse_name<Accel>(to_text(accel)) == accel);
  for (const Machine machine : {Machine::pc, Machine::q35, Machine::microvm}) {
    CHECK(parse_name<Machine>(to_text(machine)) == machine);
  }
  for (const Driver driver : {Driver::automatic, Driver::vmicache, Driver::qcow2, Driver::copy_on_read}) {
    CHECK(parse_name<Driver>(to_text(driver)) == driver);
  }
  CHECK_THROWS_WITH(parse_name<Machine>("virt"), Catch::Contains("'virt'") && Catch::Contains("microvm"));
}

TEST_CASE("a guest description goes through JSON unharmed") {
  const GuestSpec guest{.qemu = "/opt/qemu",
                        .accel = Accel::tcg,
                        .machine = Machine::q35,
                        .memory = 2 * GiB,
                        .cpus = 4,
                        .cpu_model = "max",
                        .firmware = "/f",
                        .kernel = "/k",
                        .initrd = "/i",
                        .append = "a=\"b c\"",
                        .net = Net::user,
                        .user_data = "/u"};
  const nlohmann::json json = guest;
  CHECK(nlohmann::json(json.get<GuestSpec>()) == json);
  CHECK(json.at("net") == "user");
}

TEST_CASE("guests that cannot start are refused with the reason") {
  CHECK_NOTHROW(check_guest({}));
  CHECK_THROWS_WITH(check_guest({.initrd = "/etc/passwd"}), Catch::Contains("--kernel"));
  CHECK_NOTHROW(check_guest({.append = "quiet"}));  // the disk's boot loader takes it
  CHECK_THROWS_WITH(check_guest({.machine = Machine::microvm, .firmware = "/etc/passwd", .append = "quiet"}),
                    Catch::Contains("SMBIOS"));
  CHECK_THROWS_WITH(check_guest({.kernel = "/no/such/kernel"}),
                    Catch::Contains("/no/such/kernel") && Catch::Contains("No such file"));
  CHECK_THROWS_WITH(check_guest({.machine = Machine::microvm}), Catch::Contains("bios-microvm.bin"));
  CHECK_THROWS_WITH(check_guest({.memory = 4 * KiB}), Catch::Contains("4 KiB"));
}

TEST_CASE("a program that is no QEMU is told from one") {
  CHECK_THROWS_WITH(probe_qemu("no-such-qemu", Deadline::after(30s)),
                    Catch::Contains("no-such-qemu") && Catch::Contains("--qemu"));
  CHECK_THROWS_WITH(probe_qemu("true", Deadline::after(30s)), Catch::Contains("no QEMU system emulator"));
}
