// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "slurm/spank/config.hpp"
#include "slurm/spank/slurm.hpp"

namespace vmi::spank {

/// slurmstepd, once on each node, with the user's rights and in the step's folder: sets the tasks' variables
/// and warms the node. What went wrong is kept for the tasks: srun would not show it from here.
void stepd_warm(spank_t spank, const Config& config);

/// slurmstepd, in each task's process before its program: the node's first task says what went wrong. When
/// that is to end the step, this ends the process.
void stepd_start_task(spank_t spank, const Config& config);

}  // namespace vmi::spank
