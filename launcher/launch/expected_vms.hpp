// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/launch_options.hpp"
#include "launcher/node/allocation.hpp"

#include <optional>

namespace vmi {

// What a rank can tell of its VMs before MPI is up: docs/adr/0011.

/// This rank's VMs as its launch is going to ask for them, if nothing has changed since the node's pool kept
/// the images' caches.
struct ExpectedVms {
  PrepareAhead request;
  std::string cpus;       ///< those of the job on this node, for UseCpus; empty: not known
  Allocation allocation;  ///< the node's, before these VMs took a part of it
};

/// Nothing where the launch reads no caches from the node's pool, where Slurm does not say that every node of
/// the step has one rank, where the pool has no cache of one of the images, and where the VMs do not fit.
/// Throws Error when something cannot be looked at.
std::optional<ExpectedVms> expect_vms(const LaunchOptions& options, const HostView& host);

}  // namespace vmi
