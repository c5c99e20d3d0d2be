// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/guest.hpp"

#include "cachegen/guest/qemu_version.hpp"
#include "cachegen/guest/seed.hpp"
#include "cachegen/support/log.hpp"
#include "cachegen/support/process.hpp"

#include <mutex>

#include <unistd.h>

namespace vmi {
namespace {

constexpr Bytes kLeastMemory = 2 * MiB;

void check_readable(const std::string& path, std::string_view option) {
  if (path.empty() || access(path.c_str(), R_OK) == 0) return;
  throw_errno(ExitStatus::usage, std::string(option) + ": cannot read '" + path + "'");
}

/// 0: a QEMU without our drivers.
int version_of_drivers(const std::string& qemu_version) {
  constexpr std::string_view kMark = "vmicache-";
  const std::size_t at = qemu_version.find(kMark);
  return at == std::string::npos ? 0 : std::atoi(qemu_version.c_str() + at + kMark.size());
}

}  // namespace

std::string firmware_vars_beside(const std::string& firmware) {
  const fs::path file(firmware);
  std::string name = file.filename();
  if (name.starts_with("edk2-x86_64-") && name.ends_with("-code.fd")) {  // QEMU's own names
    name = "edk2-i386-vars.fd";
  } else if (const std::size_t at = name.find("CODE"); at != std::string::npos) {  // the distributions'
    name.replace(at, 4, "VARS");
  } else {
    return {};
  }
  fs::path vars = file.parent_path() / name;
  if (!fs::exists(vars)) {
    throw Error(ExitStatus::usage,
                "--firmware: '" + firmware + "' keeps its variables in a flash of their own, and '" +
                    vars.string() + "' is not there; name their template with --firmware-vars");
  }
  return vars;
}

std::string cpu_model_of(const GuestSpec& guest) {
  if (!guest.cpu_model.empty()) return guest.cpu_model;
  return guest.accel == Accel::kvm ? "host" : "max";
}

void check_guest(const GuestSpec& guest) {
  const auto refuse = [](const std::string& text) { throw Error(ExitStatus::usage, text); };
  if (guest.memory < kLeastMemory) {
    refuse("--memory: " + format_size(guest.memory) + " boot nothing; did you mean " +
           std::to_string(guest.memory) + "M?");
  }
  if (guest.cpus < 1) refuse("--cpus: a guest needs at least 1");
  if (guest.kernel.empty() && !guest.initrd.empty()) refuse("--initrd needs --kernel");
  if (guest.machine == Machine::microvm && guest.kernel.empty() && guest.firmware.empty()) {
    refuse(
        "--machine microvm: its own firmware boots no disks; give --kernel, or --firmware with a SeaBIOS for "
        "it "
        "(Debian: /usr/share/seabios/bios-microvm.bin)");
  }
  if (guest.machine == Machine::microvm && guest.kernel.empty() && !guest.append.empty()) {
    refuse(
        "--append: machine microvm has no SMBIOS to hand kernel arguments to a boot loader; give --kernel "
        "too, "
        "or use --machine pc or q35");
  }
  check_readable(guest.firmware, "--firmware");
  check_readable(guest.firmware_vars, "--firmware-vars");
  if (guest.firmware.empty() && !guest.firmware_vars.empty()) refuse("--firmware-vars needs --firmware");
  if (guest.machine == Machine::microvm && !guest.firmware_vars.empty())
    refuse("--firmware-vars: machine microvm has no flash; use --machine q35 or pc");
  if (guest.machine == Machine::microvm && (guest.disk == Disk::sata || guest.disk == Disk::nvme))
    refuse("--disk " + to_text(guest.disk) + ": machine microvm has no PCI bus; use virtio or scsi");
  check_readable(guest.kernel, "--kernel");
  check_readable(guest.initrd, "--initrd");
  if (guest.user_data.empty()) return;
  if (guest.machine == Machine::microvm) {
    refuse(
        "--user-data: machine microvm would number its disks the other way round with a second one; use "
        "--machine pc or q35");
  }
  read_user_data(guest.user_data);  // for its errors
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
          .has_vmipagecache = drivers >= 2,
          .has_sandbox = out.find(kNoSandbox) == std::string::npos};
}

void warn_without_sandbox(const QemuFacts& qemu) {
  static std::once_flag once;
  if (qemu.has_sandbox) return;
  std::call_once(once, [&] {
    log_warning("QEMU '" + qemu.path.string() +
                "' was built without seccomp: a guest that breaks out of it may start programs; install a "
                "QEMU that knows -sandbox");
  });
}

}  // namespace vmi
