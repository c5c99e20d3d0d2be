// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/launch_plan.hpp"
#include "launcher/node/binding.hpp"

#include <map>
#include <string>

namespace vmi {

/// The CPUs of this node's VMs by their index, "0-3,8"; an empty list, and none, mean any.
using VmCpus = std::map<int, std::string>;

/// Stage *bind*: which CPUs this node's VMs run on: the job's, whatever its ranks are bound to, and one NUMA
/// node's for each VM. Afterwards this rank's supervisor may run on all of the job's CPUs.
VmCpus bind_to_job(Rank& rank, const LaunchPlan& plan);

}  // namespace vmi
