// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/cache_file.hpp"
#include "launcher/supply/supply.hpp"

namespace vmi {

// What modes share that use a boot cache which was made beforehand. On rank 0.

/// A profile may take as long as its boots may, and as long again when another launch makes the same one.
Rank::Time time_to_find(const LaunchOptions& options);

/// Compares the cache with its image as --verify-cache says. Warns, or throws Error(unusable) when the cache
/// must not be used.
void verify(const SupplySetting& setting, const fs::path& cache, const ImagePlan& image);

/// What the image's cache is made of, or was, for the guests of this launch.
BuildRequest request_for(const SupplySetting& setting, const ImagePlan& image);

/// Makes the cache's file what goes to the nodes, and tells the record of it. Warns where it is of a guest
/// that reads other things.
void take_cache(const SupplySetting& setting, const fs::path& cache, ImagePlan& image);

}  // namespace vmi
