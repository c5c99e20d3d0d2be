// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/guest/guest.hpp"
#include "launcher/node/allocation.hpp"

#include <string>
#include <vector>

namespace vmi {

/// What a launch puts on one node, and what it finds there.
struct NodeLoad {
  std::string node;
  int ranks = 0;
  int vms = 0;
  Bytes cache = 0;    ///< of caches that are still to come to --node-dir
  Bytes filling = 0;  ///< of caches that fill there, at the most; they stop where the room ends
  Bytes disk = 0;     ///< the largest image's virtual size: no overlay holds more
  bool node_dir_in_memory = false;
  Bytes node_dir_free = 0;
  std::string node_dir;
  Allocation allocation;
};

/// Whether it fits, with the arithmetic in words.
struct NodeFit {
  std::string node;
  Bytes memory = 0;  ///< needed
  std::string memory_text;
  Bytes space = 0;  ///< needed in --node-dir
  int cpus = 0;     ///< virtual ones
  Allocation allocation;
  std::string memory_problem;  ///< with the remedy; empty: it fits
  std::string space_problem;
  std::string cpu_problem;

  bool fits() const { return memory_problem.empty() && space_problem.empty() && cpu_problem.empty(); }
  /// What a dry run prints.
  std::string text() const;
};

/// What a VM's QEMU takes beyond its guest's memory; docs/adr/0006 says how that was measured.
Bytes qemu_overhead(const GuestSpec& guest);

/// `guest.accel` is resolved.
NodeFit fit_of(const NodeLoad& load, const GuestSpec& guest);

/// Of what two ranks found on one node, that which leaves less memory. A fit without a node counts for
/// nothing.
const NodeFit& tighter(const NodeFit& one, const NodeFit& other);

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(NodeFit, node, memory, memory_text, space, cpus, allocation,
                                   memory_problem, space_problem, cpu_problem)

}  // namespace vmi
