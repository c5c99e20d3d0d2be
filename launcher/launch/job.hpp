// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"

#include <ctime>
#include <optional>

namespace vmi {

/// When a launch inside a Slurm job has to begin its end, so that VMs are stopped and the record is written
/// before Slurm kills the job: a tenth of what is left until $SLURM_JOB_END_TIME before that, from 5 s to a
/// minute. Nothing outside a job and where Slurm does not say (Slurm 22.05 does not). `now` is in seconds
/// since 1970.
std::optional<Deadline> orderly_end_of_job(std::time_t now);

}  // namespace vmi
