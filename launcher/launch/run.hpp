// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/launch_plan.hpp"
#include "launcher/supply/supply.hpp"

namespace vmi {

// The stages in which VMs run.

/// Stage *start*: afterwards every VM runs, and what its node got is kept for later launches.
void start_vms(Rank& rank, const LaunchOptions& options, CacheSupply& supply);

/// Stage *ready*: afterwards every VM of every rank is ready, or has failed and may (--keep-going).
void wait_ready(Rank& rank, const LaunchOptions& options);

/// Stage *hold*: until a signal or `job_end`, if there is one.
void hold(Rank& rank, std::optional<Deadline> job_end);

/// Stage *command*: CMD runs on rank 0 with $VMILAUNCH_HOSTS, a file in `folder`; afterwards it has ended.
void run_command(Rank& rank, const std::vector<std::string>& command, const fs::path& folder);

/// Stage *stop*: afterwards this rank's VMs have ended, what they filled is kept, and rank 0 has every rank's
/// last letter.
void stop_vms(Rank& rank, CacheSupply* supply, NodePool* pool, Rank::Time patience);

}  // namespace vmi
