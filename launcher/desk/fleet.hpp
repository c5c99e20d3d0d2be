// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/launch_clock.hpp"
#include "launcher/record/record.hpp"
#include "launcher/supervisor/ipc/protocol.hpp"

#include <optional>
#include <string>
#include <vector>

namespace vmi {

/// Why the VM failed, the last lines of its console, and where all of it is kept.
std::string whole_text(const VmFailed& failure);

/// Rank 0's view of every VM of the launch, fed with the supervisors' events.
class Fleet {
 public:
  struct Vm {
    VmRow row;
    int ssh_port = 0;
    bool timed_out = false;
    std::string kept_log;  ///< of its console, when it failed; empty: none
  };

  explicit Fleet(std::vector<VmRow> planned);

  /// Takes in an event of a rank to whose clock `offset_ns` is added to get rank 0's. Returns the fields that
  /// it made known, for the journal, or nothing for events that concern no VM. An index outside the fleet is
  /// Error(environment).
  std::optional<VmRow> apply(const Event& event, const LaunchClock& clock, std::int64_t offset_ns);

  const std::vector<Vm>& vms() const { return vms_; }
  /// VMs that reached this state, whatever became of them later.
  int prepared() const { return prepared_; }
  int running() const { return running_; }
  int ready() const { return ready_; }
  int failed() const { return failed_; }
  int size() const { return static_cast<int>(vms_.size()); }
  bool all_failures_timed_out() const;

 private:
  std::vector<Vm> vms_;
  int prepared_ = 0;
  int running_ = 0;
  int ready_ = 0;
  int failed_ = 0;
};

}  // namespace vmi
