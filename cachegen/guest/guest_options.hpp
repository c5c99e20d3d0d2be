// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/guest/guest.hpp"
#include "cachegen/guest/ready.hpp"
#include "cachegen/support/options.hpp"

namespace vmi {

/// A guest as its user describes it: what vmicache profiles and vmilaunch starts.
struct GuestChoice {
  GuestSpec guest;
  ReadySpec ready;
  std::chrono::milliseconds timeout{300'000};  ///< from the start to ready
};

// The options of every command that boots guests. Each adds a group of them.

/// --memory, --cpus, --cpu, --machine, --accel, --qemu, --disk, --firmware, --firmware-vars, --kernel,
/// --initrd, --append, --net, --user-data.
void add_guest_options(OptionTable& table);
/// --ready, --timeout.
void add_ready_options(OptionTable& table);

/// What both groups say, checked (check_guest()), file names absolute. Throws Error(usage) that names the
/// option.
GuestChoice guest_choice(const Options& options);

}  // namespace vmi
