// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/units.hpp"

#include <cstddef>

namespace vmi {

/// What the simulation knows of links, MPI and nodes. README.md says where each value comes from.
struct Model {
  double rate = 125e6;        ///< of a link in each direction, payload bytes a second
  double latency_s = 25e-6;   ///< of a link; a message passes two
  double backbone = 0;        ///< bytes a second that the switch carries in all; 0: as much as comes
  double connect_s = 0.5e-3;  ///< before the first message between two nodes
  double message_s = 5e-6;    ///< a node's MPI takes a message
  double letter_s = 20e-6;    ///< rank 0 reads a letter and appends it to the journal
  double chunk_s = 0.3e-3;    ///< a node checks and writes a chunk
  bool contents = true;       ///< messages carry their bytes, and every node checks each chunk
  int damaged_at = -1;        ///< the first chunk that this rank gets is damaged; -1: none
};

extern Model g_model;
extern std::size_t g_checked_bytes;  ///< by all nodes

}  // namespace vmi
