// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supervisor/hypervisor/hypervisor.hpp"
#include "launcher/supervisor/ipc/protocol.hpp"

namespace vmi::supervisor {

/// What QEMU tells about a VM's reads while it lives. Stock QEMU counts what the guest reads, but not what
/// its block nodes read: which of it came from the cache and which from the base only the driver vmicache
/// knows. What cannot be had is left unknown.
VmStats query_stats(Domain& domain, const VmSpec& spec, Deadline deadline) noexcept;

/// Stops the guest and waits until nothing is on its way to the cache any more. quit() then writes what QEMU
/// still holds of the cache's tables, and QEMU ends. A QEMU that does not answer shows by its end.
void wait_for_fills(Domain& domain, Deadline deadline) noexcept;
void quit(Domain& domain, Deadline deadline) noexcept;

/// Why a running VM makes no progress, as far as QEMU knows.
struct Trouble {
  bool final = false;  ///< QEMU has stopped the guest and will not go on by itself
  std::string text;    ///< empty: it runs
};
Trouble query_trouble(Domain& domain, Deadline deadline) noexcept;

}  // namespace vmi::supervisor
