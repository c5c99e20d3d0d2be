// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"

#include <vector>

namespace vmi {

/// What lies in a folder that others may change all the while, in no order. Of one that cannot be read (any
/// more): what was seen of it.
std::vector<fs::path> paths_in(const fs::path& folder);

/// A folder itself, no link to one, that belongs to this user.
bool is_own_folder(const fs::path& path);

/// Whether it lies on a file system that lives in memory (tmpfs, ramfs).
bool is_in_memory(const fs::path& path);

/// $XDG_CACHE_HOME/vmilaunch, or below $HOME/.cache; empty where neither says. It need not exist.
fs::path user_cache_folder();

}  // namespace vmi
