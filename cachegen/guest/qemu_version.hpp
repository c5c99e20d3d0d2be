// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/file.hpp"

#include <string>

namespace vmi {

/// What `program --version` prints. Of a binary it is kept in the user's cache folder, by what tells files
/// apart: QEMU takes 10 to 50 ms of CPU time to say it, on each rank of a launch. A script is always run,
/// since what it starts may change.
/// Throws Error(environment) when it cannot be run.
std::string version_text(const fs::path& program, Deadline deadline);

}  // namespace vmi
