// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/guest.hpp"

#include "cachegen/guest/qemu_version.hpp"
#include "cachegen/support/process.hpp"

#include <array>
#include <utility>

#include <unistd.h>

namespace vmi {
namespace {

template <typename Value, std::size_t N>
using Names = std::array<std::pair<Value, std::string_view>, N>;

constexpr Names<Accel, 3> kAccels = {{{Accel::automatic, "auto"}, {Accel::kvm, "kvm"}, {Accel::tcg, "tcg"}}};
constexpr Names<Machine, 3> kMachines = {
    {{Machine::pc, "pc"}, {Machine::q35, "q35"}, {Machine::microvm, "microvm"}}};
constexpr Names<Net, 2> kNets = {{{Net::none, "none"}, {Net::user, "user"}}};
constexpr Names<Driver, 4> kDrivers = {{{Driver::automatic, "auto"},
                                        {Driver::vmicache, "vmicache"},
                                        {Driver::qcow2, "qcow2"},
                                        {Driver::copy_on_read, "copy-on-read"}}};

template <typename Value, std::size_t N>
std::string name_in(const Names<Value, N>& names, Value value) {
  for (const auto& [candidate, name] : names) {
    if (candidate == value) return std::string(name);
  }
  return "?";
}

template <typename Value, std::size_t N>
Value value_in(const Names<Value, N>& names, std::string_view text, std::string_view what) {
  std::string known;
  for (const auto& [value, name] : names) {
    if (name == text) return value;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  throw Error(ExitStatus::usage,
              "'" + std::string(text) + "' is no " + std::string(what) + "; known are " + known);
}

void check_readable(const std::string& path, std::string_view what) {
  if (path.empty() || access(path.c_str(), R_OK) == 0) return;
  throw_errno(ExitStatus::usage, "cannot read the " + std::string(what) + " '" + path + "'");
}

/// 0: a QEMU without our drivers.
int version_of_drivers(const std::string& qemu_version) {
  constexpr std::string_view kMark = "vmicache-";
  const std::size_t at = qemu_version.find(kMark);
  return at == std::string::npos ? 0 : std::atoi(qemu_version.c_str() + at + kMark.size());
}

}  // namespace

std::string to_text(Accel accel) {
  return name_in(kAccels, accel);
}
std::string to_text(Machine machine) {
  return name_in(kMachines, machine);
}
std::string to_text(Net net) {
  return name_in(kNets, net);
}
std::string to_text(Driver driver) {
  return name_in(kDrivers, driver);
}
Accel parse_accel(std::string_view text) {
  return value_in(kAccels, text, "accelerator");
}
Machine parse_machine(std::string_view text) {
  return value_in(kMachines, text, "machine");
}
Net parse_net(std::string_view text) {
  return value_in(kNets, text, "network");
}
Driver parse_driver(std::string_view text) {
  return value_in(kDrivers, text, "driver");
}

nlohmann::json to_json(const GuestSpec& guest) {
  return {{"qemu", guest.qemu},
          {"accel", to_text(guest.accel)},
          {"machine", to_text(guest.machine)},
          {"memory_bytes", guest.memory},
          {"cpus", guest.cpus},
          {"cpu_model", guest.cpu_model},
          {"firmware", guest.firmware},
          {"kernel", guest.kernel},
          {"initrd", guest.initrd},
          {"append", guest.append}};
}

GuestSpec guest_from_json(const nlohmann::json& json) {
  try {
    return {.qemu = json.at("qemu"),
            .accel = parse_accel(json.at("accel").get<std::string>()),
            .machine = parse_machine(json.at("machine").get<std::string>()),
            .memory = json.at("memory_bytes"),
            .cpus = json.at("cpus"),
            .cpu_model = json.at("cpu_model"),
            .firmware = json.at("firmware"),
            .kernel = json.at("kernel"),
            .initrd = json.at("initrd"),
            .append = json.at("append")};
  } catch (const nlohmann::json::exception& error) {
    throw Error(ExitStatus::unusable, std::string("guest description: ") + error.what());
  } catch (const Error& error) {
    throw Error(ExitStatus::unusable, std::string("guest description: ") + error.what());
  }
}

std::string cpu_model_of(const GuestSpec& guest) {
  if (!guest.cpu_model.empty()) return guest.cpu_model;
  return guest.accel == Accel::kvm ? "host" : "max";
}

void check_guest(const GuestSpec& guest) {
  if (guest.memory < 1 * MiB) {
    throw Error(ExitStatus::usage,
                "a guest needs at least 1 MiB of memory; " + format_size(guest.memory) + " are given");
  }
  if (guest.cpus < 1) throw Error(ExitStatus::usage, "a guest needs at least 1 CPU");
  if (guest.kernel.empty() && !guest.initrd.empty()) {
    throw Error(ExitStatus::usage, "an initrd needs a kernel; give --kernel too");
  }
  if (guest.machine == Machine::microvm && guest.kernel.empty() && guest.firmware.empty()) {
    throw Error(
        ExitStatus::usage,
        "machine microvm's own firmware boots no disks; give --kernel, or --firmware with a SeaBIOS for it "
        "(Debian: /usr/share/seabios/bios-microvm.bin)");
  }
  if (guest.machine == Machine::microvm && guest.kernel.empty() && !guest.append.empty()) {
    throw Error(ExitStatus::usage,
                "machine microvm has no SMBIOS to hand kernel arguments to a boot loader; give --kernel too, "
                "or use machine pc or q35");
  }
  check_readable(guest.firmware, "firmware");
  check_readable(guest.kernel, "kernel");
  check_readable(guest.initrd, "initrd");
}

QemuFacts probe_qemu(const std::string& qemu, Deadline deadline) {
  const std::optional<fs::path> path = find_program(qemu);
  if (!path) {
    throw Error(
        ExitStatus::environment,
        "cannot find QEMU '" + qemu + "'; install it (Debian: qemu-system-x86) or give its path with --qemu");
  }
  const std::string out = version_text(*path, deadline);
  constexpr std::string_view kPrefix = "QEMU emulator version ";
  if (!out.starts_with(kPrefix)) {
    throw Error(ExitStatus::environment, "'" + path->string() +
                                             "' is no QEMU system emulator: its --version says '" +
                                             out.substr(0, out.find('\n')) + "'");
  }
  const std::string version = out.substr(kPrefix.size(), out.find('\n') - kPrefix.size());
  const int drivers = version_of_drivers(version);
  return {.path = fs::absolute(*path),
          .version = version,
          .has_vmicache = drivers > 0,
          .has_vmipagecache = drivers >= 2};
}

}  // namespace vmi
