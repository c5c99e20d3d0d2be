// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/launch_plan.hpp"
#include "launcher/node/fit.hpp"
#include "launcher/node/node_pool.hpp"
#include "launcher/supply/supply.hpp"

#include <string>
#include <vector>

namespace vmi {

/// What the nodes' allocations have to say to a launch. All ranks know the texts, rank 0 the fits too.
struct FitReport {
  std::vector<NodeFit> fits;  ///< of every node, on rank 0; empty where nobody asked: all fits
  std::string memory;         ///< what does not fit, some nodes' lines; empty: nothing
  std::string space;
  std::string cpus;
};

/// What this node's part of the launch takes, and what there is.
NodeFit fit_here(Rank& rank, const LaunchPlan& plan, const CacheSupply& supply, const NodePool& pool);

/// Collects what all nodes found, on all ranks, when any of them found that something does not fit.
FitReport collect_fits(Rank& rank, const NodeFit& mine);

/// Stage *fit*: whether the launch fits into what each node's allocation gives. Asked before anything is
/// profiled or sent. `always`: collect the numbers also where everything fits.
FitReport look_whether_it_fits(Rank& rank, const LaunchPlan& plan, const CacheSupply& supply,
                               const NodePool& pool, bool always);

/// Throw AgreedError(environment) when some node was found to have too little memory or room in --node-dir,
/// or too few CPUs, as far as `overcommit` does not allow it; rank 0 then warns.
void demand_room(const Rank& rank, const FitReport& report, Overcommit overcommit);
void demand_cpus(const Rank& rank, const FitReport& report, Overcommit overcommit);

}  // namespace vmi
