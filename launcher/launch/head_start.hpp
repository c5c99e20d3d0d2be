// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/launch_options.hpp"
#include "launcher/node/allocation.hpp"
#include "launcher/supervisor/ipc/client.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace vmi {

/// What a rank asks of its supervisor before MPI is up, and takes the replies of later: QEMU and libvirt are
/// looked at, and on the first rank images and store too, while MPI starts. Nothing of it changes anything.
struct HeadStart {
  bool first = false;             ///< asked as rank 0 asks
  std::uint64_t environment = 0;  ///< ProbeEnvironment; for the accelerator that needs nothing unless `first`
  std::vector<std::uint64_t> images;     ///< InspectImage, one an image, if `first`
  std::vector<std::uint64_t> caches;     ///< FindCache, without building, one an image; empty: not asked
  std::optional<Allocation> allocation;  ///< as create_ahead() returned it
};

/// Where this rank can tell its VMs (expected_vms.hpp), has them created, paused, and returns the node's
/// allocation as it was before. Call it first: what else is asked may wait for a thread.
std::optional<Allocation> create_ahead(const LaunchOptions& options, Supervisor& supervisor);

/// `first`: this process is going to be rank 0. Should it be wrong, its replies are not used.
HeadStart start_ahead(const LaunchOptions& options, Supervisor& supervisor, bool first);

}  // namespace vmi
