// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/bind.hpp"
#include "launcher/launch/fit_check.hpp"

namespace vmi {

/// --dry-run, on rank 0: prints the plan and one domain's description. Throws Error when that cannot be had.
void print_dry_run(Rank& rank, const LaunchOptions& options, const LaunchPlan& plan,
                   const CacheSupply& supply, const FitReport& fit, const VmCpus& cpus);

}  // namespace vmi
