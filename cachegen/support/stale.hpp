// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"

#include <string_view>

namespace vmi {

/// Removes what killed processes left: folders `parent/PREFIX...` of this user whose owner (write_owner())
/// ran on this machine and is dead. Others' and those without an owner are left alone. Returns how many; what
/// cannot be removed is logged.
int remove_stale_folders(const fs::path& parent, std::string_view prefix);

}  // namespace vmi
