// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/launch_options.hpp"

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

/// What warming did about one image.
struct WarmCache {
  std::string image;
  std::string digest;  ///< the cache's, and its name in the node's pool
  Bytes bytes = 0;     ///< of the cache file
  bool held = false;   ///< the node had it already
};

/// vmilaunch --warm: the images' caches, from the store (or --cache PATH) to the pool of this node, where a
/// launch looks for them, and notes in the store that they are there. Every checksum of a cache is checked
/// before it is copied; its base is compared by the launch that uses it. Cache modes that bring no cache to a
/// node leave nothing to do.
///
/// Throws Error(unusable) when there is no cache of an image, or a damaged one, and Error(environment) when
/// the node has no room for it.
std::vector<WarmCache> warm_node(const LaunchOptions& options);

/// One line a cache.
std::string to_text(const std::vector<WarmCache>& caches);
void to_json(nlohmann::json& json, const WarmCache& cache);

}  // namespace vmi
