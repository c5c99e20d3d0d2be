// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supply/supply.hpp"

#include <functional>

namespace vmi {

/// What this rank has to say to the store of an image's cache in its node's pool.
struct CacheNote {
  std::string name;       ///< in the pool; empty: nothing
  bool describe = false;  ///< what the cache is, too
};

/// Notes in the store which caches this node keeps. They are hints: a store that is only read is used all the
/// same.
void note_caches(const SupplySetting& setting, const std::function<CacheNote(const ImagePlan&)>& of);

/// Says that a cache found no room in the node's pool.
void say_not_kept(const SupplySetting& setting, const std::string& cache);

}  // namespace vmi
