// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "slurm/spank/config.hpp"
#include "slurm/spank/slurm.hpp"

namespace vmi::spank {

/// The end of a job on a node, as root: runs the configured script as the job's user, for seconds at most.
/// Never fails.
void sweep_after_job(spank_t spank, const Config& config);

}  // namespace vmi::spank
