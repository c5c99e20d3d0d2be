// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supervisor/hypervisor.hpp"
#include "launcher/supervisor/protocol.hpp"

namespace vmi::supervisor {

// What makes one VM of a fleet differ from the next, and how it gets into the guest.

/// The VM's kernel arguments with its host name (systemd.hostname=).
std::string kernel_args_of(const VmSpec& spec);

/// SMBIOS type 11 strings: the ssh key for root as a systemd credential (systemd.system-credentials(7)).
std::vector<std::string> credentials_of(const VmSpec& spec);

/// --user-data: a NoCloud seed for cloud-init, a disk labelled "cidata" that QEMU makes of a folder (vvfat).
/// add_seed() puts it into the command, write_seed() makes the folder. Nothing when there is no user data.
void add_seed(const VmSpec& spec, VmPlan& plan);
void write_seed(const VmSpec& spec, const VmPlan& plan);

}  // namespace vmi::supervisor
