// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>

namespace vmi {

/// Numbers of CPUs, as the kernel numbers them.
using CpuSet = std::set<int>;

/// Reads and writes the kernel's lists, "0-3,8" (cpuset(7), "List format"). What is no such list is empty.
CpuSet parse_cpu_list(const std::string& text);
std::string to_cpu_list(const CpuSet& cpus);

}  // namespace vmi
