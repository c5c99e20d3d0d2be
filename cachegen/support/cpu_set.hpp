// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <vector>

namespace vmi {

/// Numbers of CPUs, as the kernel numbers them.
using CpuSet = std::set<int>;

/// Reads and writes the kernel's lists, "0-3,8" (cpuset(7), "List format"). What is no such list is empty.
CpuSet parse_cpu_list(const std::string& text);
std::string to_cpu_list(const CpuSet& cpus);

/// The set as sched_setaffinity(2) takes it.
std::vector<unsigned long> to_cpu_mask(const CpuSet& cpus);

}  // namespace vmi
