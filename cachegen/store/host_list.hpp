// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace vmi {

/// Names as Slurm's options take them, "n[1-3,7],login": sorted, each once, runs of numbers at names' ends
/// drawn together. Leading zeros are kept: "n[08-09],n10".
std::string host_list(const std::vector<std::string>& names);

}  // namespace vmi
