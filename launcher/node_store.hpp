// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"

#include <string>

namespace vmi {

/// The copies that a node holds below --node-dir: DIR/cache/<digest>, each whole and as its digest says,
/// because a copy is published by rename only after all ranks agreed on it. They stay for later launches.
/// Beside them lie the caches that launches with --cache cold filled (supervisor/cold_cache.hpp).
class NodeStore {
 public:
  /// Makes the folder, for this user alone. Throws Error(environment) when that fails or when it belongs to
  /// another user.
  explicit NodeStore(const fs::path& node_dir);

  const fs::path& folder() const { return folder_; }
  fs::path path_of(const std::string& digest) const { return folder_ / digest; }
  /// Whether a whole copy is here; one whose content does not match its digest is removed.
  bool holds(const std::string& digest, Bytes size) const;

 private:
  fs::path folder_;
};

}  // namespace vmi
