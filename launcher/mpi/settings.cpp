// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/settings.hpp"

#include <cstdlib>
#include <initializer_list>

#include <unistd.h>

namespace vmi {
namespace {

bool has_fast_network() {
  for (const char* device :
       {"/dev/infiniband", "/dev/hfi1_0", "/dev/ipath", "/dev/cxi0", "/dev/kgni0", "/dev/bxi0"}) {
    if (access(device, F_OK) == 0) return true;
  }
  return false;
}

}  // namespace

void choose_mpi_settings() {
  // Open MPI asks every network library that it was built with. Those of InfiniPath and Omni-Path wait 0.1 s
  // each for a device to appear. Without any such device, plain messages are what it ends up with anyway.
  // Who has chosen either of the two layers that these libraries belong to has chosen the network.
  const bool chosen = std::getenv("OMPI_MCA_pml") != nullptr || std::getenv("OMPI_MCA_mtl") != nullptr;
  if (!chosen && !has_fast_network()) setenv("OMPI_MCA_pml", "ob1", 0);
}

}  // namespace vmi
