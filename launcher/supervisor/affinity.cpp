// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/affinity.hpp"

#include "cachegen/support/error.hpp"

#include <filesystem>

#include <sched.h>

namespace vmi::supervisor {

void use_cpus(const CpuSet& cpus) {
  const std::vector<unsigned long> mask = to_cpu_mask(cpus);
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    const int id = std::stoi(thread.path().filename());
    if (sched_setaffinity(id, mask.size() * sizeof mask[0],
                          reinterpret_cast<const cpu_set_t*>(mask.data())) == 0)
      continue;
    if (errno != ESRCH)
      throw_errno(ExitStatus::environment, "cannot run on the job's CPUs " + to_cpu_list(cpus));
  }
}

}  // namespace vmi::supervisor
