// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/base_reader.hpp"
#include "cachegen/cache/extent.hpp"
#include "cachegen/support/file.hpp"

#include <functional>
#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

inline constexpr Bytes kDefaultCacheCluster = 4 * KiB;

struct CacheRequest {
  ImageInfo image;  ///< the base, as it was before anything was read from it
  std::vector<BootExtent>
      extents;      ///< the working set in boot order; rounded out to clusters, repeats dropped
  Bytes quota = 0;  ///< most bytes of the file, metadata and trailer included; 0: no limit
  Bytes cluster_bytes = kDefaultCacheCluster;
  nlohmann::json facts =
      nlohmann::json::object();  ///< profile facts: runs, ready spec, machine, firmware, versions
};

struct CacheSummary {
  Bytes file_bytes = 0;    ///< st_size
  Bytes cached_bytes = 0;  ///< what the guest finds in the cache, zeros included
  Bytes zero_bytes = 0;    ///< of these, what reads as zeros and takes no room
  Bytes wanted_bytes = 0;  ///< the whole working set in clusters, what the quota cut off included
  std::string digest;
};

/// Bytes of the working set that are done, and in all. May throw to stop the writing.
using CacheProgress = std::function<void(Bytes done, Bytes total)>;

/// Throws Error(usage) when not even the metadata of `image`'s cache fits `quota`, as far as that is known
/// before `facts` are complete and the base was read.
void check_quota(const ImageInfo& image, Bytes quota, Bytes cluster_bytes, const nlohmann::json& facts);

/// Writes the boot cache of `request.image` as docs/cache-format.md says: the longest prefix of the extents
/// that the quota allows, under a temporary name beside `output`, synced and renamed, so that `output` is the
/// old file or the new one. `output` may exist if it is a boot cache or empty; anything else is refused. No
/// extents: an empty cache, for QEMU to fill. Throws Error(usage) for a quota too small for the metadata and
/// sizes qcow2 cannot express, Error(unusable) when the base changes meanwhile.
CacheSummary write_cache(const CacheRequest& request, BaseReader& base, const fs::path& output,
                         const CacheProgress& progress = {});

}  // namespace vmi
