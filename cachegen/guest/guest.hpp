// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/file.hpp"
#include "cachegen/support/names.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

enum class Accel { automatic, kvm, tcg };
enum class Machine { pc, q35, microvm };
/// user: a network of the guest's own, with its ssh port forwarded to the node's loopback.
enum class Net { none, user };
/// How the guest's disk is attached. scsi is virtio-scsi; sata and nvme need no virtio driver in the image.
enum class Disk { virtio, scsi, sata, nvme };
/// What serves reads from a cache; see block_chain.hpp.
enum class Driver { automatic, vmicache, qcow2, copy_on_read };

template <>
inline constexpr NameTable<Accel, 3> kNames<Accel>{
    "accelerator", {{{Accel::automatic, "auto"}, {Accel::kvm, "kvm"}, {Accel::tcg, "tcg"}}}};
template <>
inline constexpr NameTable<Machine, 3> kNames<Machine>{
    "machine", {{{Machine::pc, "pc"}, {Machine::q35, "q35"}, {Machine::microvm, "microvm"}}}};
template <>
inline constexpr NameTable<Net, 2> kNames<Net>{"network", {{{Net::none, "none"}, {Net::user, "user"}}}};
template <>
inline constexpr NameTable<Disk, 4> kNames<Disk>{
    "disk", {{{Disk::virtio, "virtio"}, {Disk::scsi, "scsi"}, {Disk::sata, "sata"}, {Disk::nvme, "nvme"}}}};
template <>
inline constexpr NameTable<Driver, 4> kNames<Driver>{"driver",
                                                     {{{Driver::automatic, "auto"},
                                                       {Driver::vmicache, "vmicache"},
                                                       {Driver::qcow2, "qcow2"},
                                                       {Driver::copy_on_read, "copy-on-read"}}}};

/// The virtual hardware of a guest, the same at profile and launch, as far as its user chooses it.
struct GuestSpec {
  std::string qemu = "qemu-system-x86_64";  ///< a name on PATH or a path
  Accel accel = Accel::automatic;
  Machine machine = Machine::pc;
  Bytes memory = 512 * MiB;
  int cpus = 1;
  std::string cpu_model;  ///< as QEMU's -cpu has it: "max", "Nehalem,-aes", ...; empty: cpu_model_of()'s
  std::string firmware;   ///< file that replaces the machine's own firmware; empty: not given
  /// Template of the variables that this firmware keeps in a flash of its own; every VM gets a copy. Empty: a
  /// firmware without one (-bios).
  std::string firmware_vars;
  std::string kernel;  ///< direct kernel boot; empty: boot from the disk
  std::string initrd;
  std::string append;  ///< kernel arguments
  Disk disk = Disk::virtio;
  Net net = Net::none;
  std::string user_data;  ///< file for the guest's cloud-init, on a second disk (seed.hpp); empty: none
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GuestSpec, qemu, accel, machine, memory, cpus, cpu_model, firmware,
                                   firmware_vars, kernel, initrd, append, disk, net, user_data)

/// The one check of a description, wherever it comes from. Throws Error(usage) that names the option for what
/// no QEMU could start: no memory, initrd without kernel, files that cannot be read.
void check_guest(const GuestSpec& guest);

/// The variables' template that belongs to a UEFI firmware: "OVMF_VARS_4M.fd" beside "OVMF_CODE_4M.fd"; empty
/// for a firmware without one. Throws Error(usage) when it should be there and is not.
std::string firmware_vars_beside(const std::string& firmware);

/// The guest's CPU model, chosen or the default of its accelerator, which is resolved: the node's own CPU
/// with KVM, all that QEMU can emulate with TCG. QEMU's own default is older than what distributions are
/// built for.
std::string cpu_model_of(const GuestSpec& guest);

/// What decides between KVM and TCG.
struct AccelFacts {
  std::string kvm_problem;                 ///< why /dev/kvm does not open; empty: it opens
  bool cpu_offers_virtualization = false;  ///< vmx or svm among the CPU's flags
};
AccelFacts read_accel_facts();
/// automatic becomes kvm when /dev/kvm opens and the CPU offers virtualization, else tcg with one warning.
/// An explicit kvm only needs /dev/kvm to open, else Error(environment).
Accel resolve_accel(Accel wanted, const AccelFacts& facts);
Accel resolve_accel(Accel wanted);

struct QemuFacts {
  fs::path path;        ///< absolute
  std::string version;  ///< "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)"
  /// The cache-enabled driver is built in. Such a QEMU says so in its version
  /// (--with-pkgversion=vmicache...).
  bool has_vmicache = false;
  /// Beside it the driver vmipagecache (from vmicache-2 on).
  bool has_vmipagecache = false;
  /// It knows -sandbox: seccomp is built in.
  bool has_sandbox = true;
};
/// What `qemu --version` says (qemu_version.hpp). Throws Error(environment) when it is missing or is no QEMU
/// system emulator.
QemuFacts probe_qemu(const std::string& qemu, Deadline deadline);
/// Says once in this process that VMs of this QEMU have no sandbox; of others nothing.
void warn_without_sandbox(const QemuFacts& qemu);

}  // namespace vmi
