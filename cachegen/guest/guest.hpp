// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/file.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

enum class Accel { automatic, kvm, tcg };
enum class Machine { pc, q35, microvm };
enum class Net { none, user };
/// What serves reads from a cache; see block_chain.hpp.
enum class Driver { automatic, vmicache, qcow2, copy_on_read };

/// The names that options and records use: "auto", "kvm", "q35", "copy-on-read". Parsing throws Error(usage).
std::string to_text(Accel accel);
std::string to_text(Machine machine);
std::string to_text(Net net);
std::string to_text(Driver driver);
Accel parse_accel(std::string_view text);
Machine parse_machine(std::string_view text);
Net parse_net(std::string_view text);
Driver parse_driver(std::string_view text);

/// The virtual hardware of a guest, the same at profile and launch, as far as its user chooses it.
struct GuestSpec {
  std::string qemu = "qemu-system-x86_64";  ///< a name on PATH or a path
  Accel accel = Accel::automatic;
  Machine machine = Machine::pc;
  Bytes memory = 512 * MiB;
  int cpus = 1;
  std::string cpu_model;  ///< as QEMU's -cpu has it: "max", "Nehalem,-aes", ...; empty: cpu_model_of()'s
  std::string firmware;   ///< file that replaces the machine's own firmware (-bios); empty: not given
  std::string kernel;     ///< direct kernel boot; empty: boot from the disk
  std::string initrd;
  std::string append;
};

nlohmann::json to_json(const GuestSpec& guest);
/// Throws Error(unusable) when a member is missing or of the wrong type.
GuestSpec guest_from_json(const nlohmann::json& json);

/// Throws Error(usage) for what no QEMU could start: no memory, initrd without kernel, files that cannot be
/// read.
void check_guest(const GuestSpec& guest);

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
};
/// What `qemu --version` says (qemu_version.hpp). Throws Error(environment) when it is missing or is no QEMU
/// system emulator.
QemuFacts probe_qemu(const std::string& qemu, Deadline deadline);

}  // namespace vmi
