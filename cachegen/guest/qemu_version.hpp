// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/file.hpp"

#include <string>
#include <string_view>

namespace vmi {

/// In version_text() of a QEMU that was built without seccomp, so that it knows no -sandbox.
inline constexpr std::string_view kNoSandbox = "no -sandbox";

/// What `program --version` prints, and kNoSandbox in a line of its own. Of a binary it is kept in the user's
/// cache folder, by what tells files apart: QEMU takes 10 to 50 ms of CPU time to say it, on each rank of a
/// launch. A script is always run, since what it starts may change. Throws Error(environment) when it cannot
/// be run.
std::string version_text(const fs::path& program, Deadline deadline);

}  // namespace vmi
