// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"

#include <string_view>

namespace vmi {

/// Marks a folder as this process's, for remove_stale_folders(): its owner and, while the descriptor lives, a
/// lock.
Fd stamp_folder(const fs::path& folder);

/// Removes what killed processes left: folders `parent/PREFIX...` of this user whose owner (write_owner())
/// ran on this machine and is dead. Others' and those without an owner are left alone. Returns how many; what
/// cannot be removed is logged.
int remove_stale_folders(const fs::path& parent, std::string_view prefix);

}  // namespace vmi
