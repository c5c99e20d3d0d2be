// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace vmi {

/// Lets a rank's simulated time pass until one of its MPI operations is complete, or for `seconds` when it
/// has none.
///
/// The product polls: it tests, naps, and tests again. Simulating each poll of thousands of ranks would take
/// days, so that here a wait lasts until the event, and then as much longer as the product's naps are late on
/// average (launcher/mpi/pace.hpp: a third of the time since something moved, 1 ms at the most).
void nap(double seconds);

/// Prepares for that many ranks.
void prepare_seam(int ranks);

}  // namespace vmi
