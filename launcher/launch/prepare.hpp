// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/bind.hpp"
#include "launcher/launch/launch_plan.hpp"
#include "launcher/supply/supply.hpp"

#include <vector>

namespace vmi {

/// One VM as its supervisor is asked for it.
VmSpec vm_spec(const LaunchOptions& options, const LaunchPlan& plan, const PlacedVm& vm,
               const CacheSupply& supply, const std::string& cpus);

/// Stage *distribute and prepare*: what VMs read comes to each node while they are created, paused.
/// Afterwards all VMs of all ranks are there, paused, and all ranks agree on what they read.
void distribute_and_prepare(Rank& rank, const LaunchOptions& options, const LaunchPlan& plan,
                            CacheSupply& supply, const VmCpus& cpus);

}  // namespace vmi
