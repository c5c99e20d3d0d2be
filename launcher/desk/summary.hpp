// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/log.hpp"
#include "launcher/desk/desk.hpp"
#include "launcher/mpi/nodes.hpp"

#include <optional>
#include <string>

namespace vmi {

/// With CMD, a launch that failed by itself is 125; an interruption keeps its own code.
ExitStatus exit_status_with_command(ExitStatus status);

/// Rank 0's last act: decides the exit status, closes the record and prints the result. Throws nothing.
/// `failure`: what ended the launch early; `command_status`: CMD's, when it ran to its end.
int conclude(Desk& desk, const LaunchOptions& options, const std::optional<Error>& failure,
             const std::optional<int>& command_status, const LaunchClock& clock);

/// What $VMILAUNCH_HOSTS names: a line a VM that is ready, "name node address:port", "-" for no address.
std::string hosts_text(const Fleet& fleet, const NodeLayout& layout);

/// The table at the end of a launch, and the same as JSON.
struct Summary {
  int exit_status = 0;
  std::string error;
  std::string record;
  const Fleet* fleet = nullptr;
  std::vector<PhaseRow> phases;
  std::optional<Desk::Caches> caches;
  std::string to_text() const;
  nlohmann::json to_json() const;
};

/// Seconds from the common start to ready, of the VMs that got ready, ascending.
std::vector<double> ready_times(const Fleet& fleet, const std::vector<PhaseRow>& phases);

}  // namespace vmi
