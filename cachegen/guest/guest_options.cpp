// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/guest_options.hpp"

#include "cachegen/guest/qemu_lookup.hpp"

namespace vmi {
namespace {

std::string absolute_file(const Options& options, const std::string& name) {
  const std::string file = options.text(name);
  return file.empty() ? "" : fs::absolute(file).string();
}

ReadySpec ready_of(const Options& options) {
  try {
    return ReadySpec::parse(options.text("ready"));
  } catch (const Error& error) {
    throw error.in("--ready");
  }
}

}  // namespace

void add_guest_options(OptionTable& table) {
  table
      .add({.name = "memory",
            .letter = 'm',
            .metavar = "SIZE",
            .default_value = "512M",
            .help = "Memory of each guest."})
      .add({.name = "cpus",
            .letter = 'c',
            .metavar = "N",
            .default_value = "1",
            .help = "Virtual CPUs of each guest."})
      .add({.name = "cpu",
            .metavar = "MODEL",
            .help = "Processor model, as QEMU's -cpu has it [host with KVM, max with tcg]."})
      .add({.name = "machine",
            .metavar = "TYPE",
            .default_value = "pc",
            .help = "QEMU machine type.",
            .choices = names_of<Machine>()})
      .add({.name = "accel",
            .metavar = "ACCEL",
            .default_value = "auto",
            .help = "Accelerator; auto takes KVM where it works.",
            .choices = names_of<Accel>()})
      .add({.name = "qemu",
            .metavar = "PATH",
            .default_value = default_qemu(),
            .help = "QEMU to run, by name or path; the cache-enabled one where it is installed."})
      .add({.name = "disk",
            .metavar = "BUS",
            .default_value = "virtio",
            .help = "How the disk is attached; sata and nvme are for images without virtio drivers.",
            .choices = names_of<Disk>()})
      .add({.name = "firmware",
            .metavar = "FILE",
            .help = "Firmware instead of QEMU's own; for UEFI OVMF_CODE*.fd."})
      .add({.name = "firmware-vars",
            .metavar = "FILE",
            .help = "Template of the firmware's variables, copied for each guest [for OVMF_CODE*.fd the "
                    "OVMF_VARS*.fd beside it]."})
      .add({.name = "kernel",
            .metavar = "FILE",
            .help = "Boot this kernel instead of the disk's boot loader."})
      .add({.name = "initrd", .metavar = "FILE", .help = "Initial RAM disk for --kernel."})
      .add({.name = "append",
            .metavar = "ARGS",
            .help =
                "Further kernel arguments (for a disk boot, where its boot loader takes them from SMBIOS)."})
      .add({.name = "net",
            .metavar = "MODE",
            .default_value = "none",
            .help = "user: a private network with an ssh port forwarded to the node's loopback; --ready ssh "
                    "always has it.",
            .choices = names_of<Net>()})
      .add({.name = "user-data",
            .metavar = "FILE",
            .help = "User data for the guests' cloud-init (a NoCloud disk, labelled CIDATA)."});
}

void add_ready_options(OptionTable& table) {
  table
      .add({.name = "ready",
            .metavar = "serial:REGEX|agent|ssh|exit|none",
            .default_value = "serial:login: ",
            .help = "When a guest is ready; REGEX is POSIX extended."})
      .add({.name = "timeout",
            .metavar = "TIME",
            .default_value = "300s",
            .help = "Most time from start to ready."});
}

GuestChoice guest_choice(const Options& options) {
  GuestChoice choice{.guest = {.qemu = options.text("qemu"),
                               .accel = parse_name<Accel>(options.text("accel")),
                               .machine = parse_name<Machine>(options.text("machine")),
                               .memory = options.size("memory"),
                               .cpus = static_cast<int>(options.number("cpus", 1, 255)),
                               .cpu_model = options.text("cpu"),
                               .firmware = absolute_file(options, "firmware"),
                               .firmware_vars = absolute_file(options, "firmware-vars"),
                               .kernel = absolute_file(options, "kernel"),
                               .initrd = absolute_file(options, "initrd"),
                               .append = options.text("append"),
                               .disk = parse_name<Disk>(options.text("disk")),
                               .net = parse_name<Net>(options.text("net")),
                               .user_data = absolute_file(options, "user-data")},
                     .ready = ready_of(options),
                     .timeout = options.duration("timeout")};
  if (choice.ready.kind == ReadySpec::Kind::ssh) choice.guest.net = Net::user;  // a way in
  if (choice.timeout.count() == 0) throw Error(ExitStatus::usage, "--timeout: 0 leaves no time to boot");
  if (choice.guest.firmware_vars.empty() && !choice.guest.firmware.empty())
    choice.guest.firmware_vars = firmware_vars_beside(choice.guest.firmware);
  check_guest(choice.guest);
  return choice;
}

}  // namespace vmi
