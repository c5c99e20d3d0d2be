// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supervisor/hypervisor/hypervisor.hpp"
#include "launcher/supervisor/ipc/protocol.hpp"

namespace vmi::supervisor {

// What makes one VM of a fleet differ from the next, and how it gets into the guest.

/// The VM's own kernel arguments: its host name (systemd.hostname=).
std::string kernel_args_of(const VmSpec& spec);

/// SMBIOS type 11 strings: the ssh key for root as a systemd credential (systemd.system-credentials(7)).
std::vector<std::string> credentials_of(const VmSpec& spec);

/// --user-data: writes the VM's seed disk for cloud-init.
void write_seed(const VmSpec& spec, const fs::path& path);

}  // namespace vmi::supervisor
