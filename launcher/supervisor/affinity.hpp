// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/cpu_set.hpp"

namespace vmi::supervisor {

/// Lets every thread of this process run on `cpus`, and what they start. Throws Error(environment) that names
/// them.
void use_cpus(const CpuSet& cpus);

}  // namespace vmi::supervisor
