// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace vmi {

/// All that this program sets of Open MPI for itself, before MPI_Init. What the user, or `mpirun --mca`, has
/// set stays as it is.
void choose_mpi_settings();

}  // namespace vmi
