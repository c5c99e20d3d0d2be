// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/guest/guest.hpp"
#include "cachegen/support/process.hpp"

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

/// Files of one VM, made by QEMU unless said otherwise.
struct VmFiles {
  fs::path serial_log;
  fs::path agent_socket;   ///< QEMU listens; empty: no guest agent channel
  fs::path firmware_vars;  ///< the VM's own copy (copy_firmware_vars()), with guest.firmware_vars
};

/// What differs between the VMs of one fleet, and between profile and launch.
struct CommandExtras {
  bool forward_ssh =
      false;  ///< user net: 127.0.0.1:PORT to the guest's port 22, PORT chosen by QEMU (forwarded_port())
  std::string mac;                       ///< empty: QEMU's default
  std::string kernel_args;               ///< behind guest.append
  std::vector<std::string> credentials;  ///< SMBIOS type 11 strings: "io.systemd.credential:NAME=VALUE"
  fs::path seed;                         ///< cloud-init's disk (seed.hpp), the guest's second; empty: none
  bool sandbox = true;                   ///< QEMU has seccomp (QemuFacts::has_sandbox)
  bool no_reboot = false;                ///< a guest that resets ends QEMU instead
  std::vector<std::string> trace_events;
  fs::path trace_log;
};

/// The whole command of a VM whose guest starts at once, and without a monitor: see spawn_paused().
/// `guest.accel` must be resolved, `guest.qemu` be a program; `chain` comes from blockdev_chain(). Throws
/// Error(usage) for identity (kernel_args, credentials, seed) that the machine cannot hand to its guest.
/// Kernel arguments go to guest.kernel, or else into the SMBIOS type 2 asset tag, which the image's GRUB
/// reads.
Argv qemu_command(const GuestSpec& guest, const std::string& name, const std::vector<nlohmann::json>& chain,
                  const VmFiles& files, const CommandExtras& extras);

/// Makes the VM's own copy of its firmware's variables, where it has any.
void copy_firmware_vars(const GuestSpec& guest, const VmFiles& files);

/// Whether a device of query-blockstats, by its `qdev`, is the guest's disk and not its seed.
bool is_guest_disk(const std::string& qdev);

/// The host port of a forward to the guest's `guest_port`, from what the monitor's "info usernet" prints; 0:
/// there is none.
int forwarded_port(const std::string& info_usernet, int guest_port);

}  // namespace vmi
