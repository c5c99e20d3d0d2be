// SPDX-License-Identifier: Apache-2.0
// What Slurm's launch of a step and the MPI library's start cost together: an MPI program that does nothing.
#include <mpi.h>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  return MPI_Finalize();
}
