// SPDX-License-Identifier: Apache-2.0
// What Slurm's own launch of an MPI step costs: its PMIx wires the ranks up, by the two fences that Open MPI
// 4.1's MPI_Init asks it for, without an MPI library.
#include <pmix.h>

namespace {

bool fence(const pmix_proc_t& self, bool collect) {
  pmix_proc_t all;
  PMIX_PROC_CONSTRUCT(&all);
  PMIX_LOAD_PROCID(&all, self.nspace, PMIX_RANK_WILDCARD);
  pmix_info_t info;
  PMIX_INFO_CONSTRUCT(&info);
  PMIX_INFO_LOAD(&info, PMIX_COLLECT_DATA, &collect, PMIX_BOOL);
  return PMIx_Fence(&all, 1, &info, 1) == PMIX_SUCCESS;
}

}  // namespace

int main() {
  pmix_proc_t self;
  if (PMIx_Init(&self, nullptr, 0) != PMIX_SUCCESS) return 1;
  const bool together = fence(self, true) && fence(self, false);
  return PMIx_Finalize(nullptr, 0) == PMIX_SUCCESS && together ? 0 : 1;
}
