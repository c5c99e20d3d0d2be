// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/launch_plan.hpp"
#include "launcher/supply/supply.hpp"

#include <functional>
#include <memory>
#include <optional>

namespace vmi {

/// Makes rank 0's reporter, which may fail.
using MakeReporter = std::function<std::unique_ptr<Reporter>(const LaunchClock&)>;

/// One launch as one rank sees it: the stages in their order, every one of which ends with all ranks agreed.
/// Each stage is in a file of its own and has values for its input and its output; this class holds what
/// later stages need of earlier ones.
class Launch {
 public:
  Launch(Rank& rank, const LaunchOptions& options, MakeReporter make_reporter);
  ~Launch();

  /// Runs the launch to its end, whatever happens, and returns the exit status of this rank.
  int run();

 private:
  void go();
  void open_record();
  void open_supply();
  /// Stops the VMs and closes the record; throws nothing. `to_others`: the failure as other ranks see it.
  int end(std::optional<Error> failure, const std::optional<Error>& to_others);
  /// Keeps what failed, on rank 0, before anything is waited for: this process may be killed meanwhile.
  void note_failure(const std::optional<Error>& failure);

  Rank& rank_;
  const LaunchOptions& options_;
  MakeReporter make_reporter_;
  LaunchClock clock_;
  std::optional<Deadline> job_end_;  ///< when an orderly end has to begin
  std::unique_ptr<Reporter> reporter_;
  std::optional<LaunchPlan> plan_;
  std::optional<NodePool> pool_;
  std::unique_ptr<CacheSupply> supply_;
};

}  // namespace vmi
