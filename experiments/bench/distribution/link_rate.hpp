// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/units.hpp"
#include "launcher/mpi/wait.hpp"

#include <string>

namespace vmi {

/// Bytes a second of one plain TCP stream from rank 0 to rank 1 of `comm`, over the network interface
/// `interface` of rank 1; the best of some trials. What the distribution is compared with: no MPI, no disk.
/// Collective; 0 on one rank.
double measure_link_rate(const Comm& comm, const std::string& interface, Bytes bytes, const Waiter& waiter);

}  // namespace vmi
