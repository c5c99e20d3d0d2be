// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "experiments/simgrid/stages.hpp"
#include "launcher/launch/launch.hpp"
#include "launcher/supply/delivery.hpp"

#include <map>

namespace vmi {

/// A supervisor whose node is well. Its VMs take their time, and read nothing.
class StandInSupervisor final : public SupervisorPort {
 public:
  StandInSupervisor(const StageOptions& options, int rank);

  int fd() const override { return alarm_->fd(); }
  std::uint64_t send(SupervisorRequest request) override;
  std::optional<Heard> receive() override;

 private:
  void say(const Event& event, double in_s);
  void done(std::uint64_t id, double in_s) { say(Reply{.id = id, .result = to_result(Done{})}, in_s); }

  const StageOptions& options_;
  double prepare_s_;
  double boot_s_;
  std::unique_ptr<Alarm> alarm_;
  std::multimap<std::int64_t, Event> due_;  ///< by monotonic_ns()
  std::vector<int> vms_;                    ///< indexes
  std::uint64_t next_id_ = 1;
};

/// Seconds of the parts of bringing a cache to the nodes, on one rank.
struct BringTimes {
  double offer_s = 0;
  double move_s = 0;
};

/// The cache mode: a cache that was made for this, sent as every other.
class StandInSupply final : public DeliveringSupply {
 public:
  StandInSupply(const SupplySetting& setting, const StageOptions& options, BringTimes& times);

  std::string finding() const override { return "making a cache"; }
  Rank::Time finding_time() const override { return std::chrono::hours(1); }
  void find(ImagePlan& image) override;
  std::optional<Error> bring(const Begin& begin) override;
  void note() const override {}  // there is no store

 private:
  const StageOptions& options_;
  BringTimes& times_;
};

/// Rank 0's: when each stage began, and how many letters came.
class StageReporter final : public Reporter {
 public:
  void phase(const std::string& name, const std::string& text) override;
  void take(int rank, const std::string& letter) override;
  int conclude(const LaunchEnd& end, ExitStatus own) override;

  std::map<std::string, std::int64_t> begin_ns;  ///< of each stage
  int letters = 0;
  std::int64_t wire_bytes = 0;  ///< to the node that got most
  std::optional<Error> failure;
};

}  // namespace vmi
