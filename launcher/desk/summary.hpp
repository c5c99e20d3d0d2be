// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/error.hpp"
#include "launcher/desk/fleet.hpp"
#include "launcher/team/layout.hpp"

#include <optional>
#include <string>

namespace vmi {

/// With CMD, a launch that failed by itself is 125; an interruption keeps its own code.
ExitStatus exit_status_with_command(ExitStatus status);

/// What $VMILAUNCH_HOSTS names: a line a VM that is ready, "name node address:port", "-" for no address.
std::string hosts_text(const Fleet& fleet, const NodeLayout& layout);

/// How the nodes came by their caches.
struct NodeCaches {
  std::int64_t nodes = 0;  ///< that have any
  std::int64_t held = 0;   ///< of these, by an earlier launch's doing
  std::int64_t wire_bytes = 0;
};

/// The table at the end of a launch, and the same as JSON.
struct Summary {
  int exit_status = 0;
  std::string error;
  std::string record;
  const Fleet* fleet = nullptr;
  std::vector<PhaseRow> phases;
  std::optional<NodeCaches> caches;
  std::string to_text() const;
  nlohmann::json to_json() const;
};

/// Seconds from the common start to ready, of the VMs that got ready, ascending.
std::vector<double> ready_times(const Fleet& fleet, const std::vector<PhaseRow>& phases);

}  // namespace vmi
