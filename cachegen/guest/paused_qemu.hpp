// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/process.hpp"

namespace vmi {

/// A QEMU that was started with its guest stopped, and our end of its monitor: what Qmp speaks on, whose
/// `cont` lets the guest run.
struct PausedQemu {
  Child child;
  Fd monitor;  ///< at its end once QEMU has ended
};

/// Starts what qemu_command() gives. QEMU gets its monitor connected: one that listened (QEMU 7.2) would be
/// read by two of its threads when a client came while it was handed from the first to the second, and a
/// command or a reply would be lost.
PausedQemu spawn_paused(Argv command, SpawnOptions options);

}  // namespace vmi
