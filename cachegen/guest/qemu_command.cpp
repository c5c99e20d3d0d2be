// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/qemu_command.hpp"

#include "cachegen/guest/cpu_check.hpp"

#include <sstream>

namespace vmi {
namespace {

/// A value inside QEMU's comma-separated option syntax: a comma is doubled.
std::string option_value(const std::string& text) {
  std::string result;
  for (const char c : text) {
    result += c;
    if (c == ',') result += ',';
  }
  return result;
}

/// Collects words; `on_bus` names a virtio device as the machine's bus has it.
class Builder {
 public:
  Builder(Argv& argv, Machine machine)
      : argv_(argv), suffix_(machine == Machine::microvm ? "-device" : "-pci") {}
  void add(const std::string& option, const std::string& value) {
    argv_.push_back(option);
    argv_.push_back(value);
  }
  void add(const std::string& option) { argv_.push_back(option); }
  void virtio(const std::string& device, const std::string& properties) {
    add("-device", device + suffix_ + (properties.empty() ? "" : "," + properties));
  }

 private:
  Argv& argv_;
  std::string suffix_;
};

/// A guest under KVM has kvmclock. Beside it virt-install takes the HPET away, which costs exits, has missed
/// ticks of the RTC caught up and those of the PIT not: libvirt's <timer> elements, docs/adr/0012.
bool keeps_time_by_kvm(const GuestSpec& guest) {
  return guest.accel == Accel::kvm && guest.machine != Machine::microvm;
}

void add_machine(Builder& command, const GuestSpec& guest) {
  const bool microvm = guest.machine == Machine::microvm;
  // A microvm has no ACPI, as libvirt has it: with it QEMU makes 24 slots for devices instead of 8, and needs
  // a fifth more processor time to start.
  command.add("-machine", to_text(guest.machine) + (microvm ? ",acpi=off" : ",usb=off,vmport=off") +
                              (keeps_time_by_kvm(guest) ? ",hpet=off" : "") + ",dump-guest-core=off");
  if (microvm) command.add("-global", "virtio-mmio.force-legacy=false");
  if (keeps_time_by_kvm(guest)) {
    command.add("-rtc", "base=utc,driftfix=slew");
    command.add("-global", "kvm-pit.lost_tick_policy=delay");
  }
  // Under TCG an eventfd per request is a switch of threads, with no kernel to save an exit by it: a recorded
  // Debian boot, replayed without its pauses, took 0.165 instead of 0.195 CPU-s without.
  if (microvm && guest.accel == Accel::tcg) command.add("-global", "virtio-mmio.ioeventfd=off");
  // TCG keeps all code that it ever translated, up to 1 GiB. With 64 MiB a Debian boot took no more CPU time
  // and half the memory (331 instead of 647 MiB when the login prompt came); with 32 MiB a third more CPU
  // time.
  command.add("-accel", guest.accel == Accel::kvm ? "kvm" : "tcg,tb-size=64");
  command.add("-cpu", cpu_option(guest));
  command.add("-m", std::to_string(guest.memory / MiB) + "M");
  command.add("-smp", std::to_string(guest.cpus));
}

/// UEFI lies in one flash that nobody writes, its variables in another. The options of old are used since
/// libvirt writes -machine, where their successors belong.
void add_firmware(Builder& command, const GuestSpec& guest, const VmFiles& files) {
  if (guest.firmware.empty()) return;
  if (guest.firmware_vars.empty()) return command.add("-bios", guest.firmware);
  command.add("-drive", "if=pflash,unit=0,format=raw,readonly=on,file.locking=off,file=" +
                            option_value(guest.firmware));
  command.add("-drive", "if=pflash,unit=1,format=raw,file=" + option_value(files.firmware_vars));
}

/// A disk of the guest, its `number`th, which makes the first one's controller too.
void add_disk(Builder& command, const GuestSpec& guest, const std::string& node, const std::string& id,
              int number) {
  std::string what = "drive=" + node + ",id=" + id;
  if (guest.disk == Disk::virtio) return command.virtio("virtio-blk", what);
  // SeaBIOS looks at controllers side by side: which disk it sees first is chance, unless it is told.
  if (number == 0) what += ",bootindex=0";
  switch (guest.disk) {
    case Disk::virtio:
      return;
    case Disk::scsi:
      if (number == 0) command.virtio("virtio-scsi", "id=scsi");
      return command.add("-device", "scsi-hd,bus=scsi.0," + what);
    case Disk::sata: {
      // q35 has such a controller.
      const bool own = guest.machine == Machine::q35;
      if (number == 0 && !own) command.add("-device", "ahci,id=sata");
      return command.add("-device", std::string("ide-hd,bus=") + (own ? "ide." : "sata.") +
                                        std::to_string(number) + "," + what);
    }
    case Disk::nvme:
      return command.add("-device", "nvme,serial=" + id + "," + what);
  }
}

void add_identity(Builder& command, const GuestSpec& guest, const CommandExtras& extras) {
  const bool direct = !guest.kernel.empty();
  const std::string separator = guest.append.empty() || extras.kernel_args.empty() ? "" : " ";
  const std::string arguments = guest.append + separator + extras.kernel_args;
  if (guest.machine == Machine::microvm && (!extras.credentials.empty() || (!direct && !arguments.empty()))) {
    throw Error(
        ExitStatus::usage,
        "machine microvm has no SMBIOS to hand per-VM settings to its guest; use --machine pc or q35");
  }
  if (!direct && !arguments.empty()) command.add("-smbios", "type=2,asset=" + option_value(arguments));
  for (const std::string& credential : extras.credentials) {
    command.add("-smbios", "type=11,value=" + option_value(credential));
  }
  if (guest.machine == Machine::microvm && !extras.seed.empty()) {
    throw Error(
        ExitStatus::usage,
        "--user-data: machine microvm would number its disks the other way round with a second one; use "
        "--machine pc or q35");
  }
  if (!direct) return;
  command.add("-kernel", guest.kernel);
  if (!guest.initrd.empty()) command.add("-initrd", guest.initrd);
  if (!arguments.empty()) command.add("-append", arguments);
}

void add_devices(Builder& command, const GuestSpec& guest, const std::vector<nlohmann::json>& chain,
                 const VmFiles& files, const CommandExtras& extras) {
  for (const nlohmann::json& node : chain) command.add("-blockdev", node.dump());
  add_disk(command, guest, chain.back().at("node-name").get<std::string>(), "disk", 0);
  command.add("-object", "rng-builtin,id=entropy");
  command.virtio("virtio-rng", "rng=entropy");
  command.add("-chardev", "file,id=serial,path=" + option_value(files.serial_log));
  command.add("-serial", "chardev:serial");
  if (!files.agent_socket.empty()) {
    command.virtio("virtio-serial", "id=agent-bus");
    command.add("-chardev", "socket,id=agent,server=on,wait=off,path=" + option_value(files.agent_socket));
    command.add("-device", "virtserialport,bus=agent-bus.0,chardev=agent,name=org.qemu.guest_agent.0");
  }
  if (guest.net == Net::user) {
    command.add("-netdev",
                std::string("user,id=net") + (extras.forward_ssh ? ",hostfwd=tcp:127.0.0.1:0-:22" : ""));
    command.virtio("virtio-net", "netdev=net" + (extras.mac.empty() ? "" : ",mac=" + extras.mac));
  }
  // Behind everything else: what a guest finds where does not depend on it.
  if (!extras.seed.empty()) {
    const bool read_only = guest.disk != Disk::sata;  // which QEMU has no such disks of
    const nlohmann::json node = {{"driver", "raw"},
                                 {"node-name", "seed"},
                                 {"read-only", read_only},
                                 {"file",
                                  {{"driver", "file"},
                                   {"filename", extras.seed.string()},
                                   {"read-only", read_only},
                                   {"locking", "off"}}}};
    command.add("-blockdev", node.dump());
    add_disk(command, guest, "seed", "seed", 1);
  }
}

}  // namespace

Argv qemu_command(const GuestSpec& guest, const std::string& name, const std::vector<nlohmann::json>& chain,
                  const VmFiles& files, const CommandExtras& extras) {
  Argv argv = {guest.qemu, "-name", "guest=" + option_value(name), "-nodefaults", "-no-user-config",
               "-display", "none"};
  Builder command(argv, guest.machine);
  // As libvirt has it by default. What a VM needs of it is done before QEMU runs (its CPUs), or not at all.
  if (extras.sandbox)
    command.add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
  add_machine(command, guest);
  add_firmware(command, guest, files);
  add_identity(command, guest, extras);
  add_devices(command, guest, chain, files, extras);
  if (extras.no_reboot) command.add("-no-reboot");
  for (const std::string& event : extras.trace_events) command.add("-trace", "enable=" + event);
  if (!extras.trace_log.empty()) {
    command.add("-D", extras.trace_log.string());
    command.add("-msg", "timestamp=on");
  }
  return argv;
}

void copy_firmware_vars(const GuestSpec& guest, const VmFiles& files) {
  if (guest.firmware_vars.empty()) return;
  fs::copy_file(guest.firmware_vars, files.firmware_vars, fs::copy_options::overwrite_existing);
  fs::permissions(files.firmware_vars, fs::perms::owner_read | fs::perms::owner_write);
}

bool is_guest_disk(const std::string& qdev) {
  return qdev == "disk" || qdev.find("/disk/") != std::string::npos;
}

int forwarded_port(const std::string& info_usernet, int guest_port) {
  //   Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  //   TCP[HOST_FORWARD]  12       127.0.0.1 45155       10.0.2.15    22     0     0
  std::istringstream lines(info_usernet);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string protocol, descriptor, source, destination;
    int source_port = 0, destination_port = 0;
    if (words >> protocol >> descriptor >> source >> source_port >> destination >> destination_port &&
        protocol == "TCP[HOST_FORWARD]" && destination_port == guest_port) {
      return source_port;
    }
  }
  return 0;
}

}  // namespace vmi
