// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/image.hpp"
#include "cachegen/support/file.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace vmi {

/// 32 hexadecimal digits that change when the image does: of its name, format, size and, where it has one,
/// modification time.
std::string image_identity(const ImageInfo& image);

/// A cache that nodes keep, as launches know it.
struct NodeCache {
  std::string name;      ///< in the nodes' pools: a digest, or filled-HASH
  std::string image;     ///< URL of its base
  std::string identity;  ///< image_identity() of its base
  Bytes bytes = 0;
};

struct CachePlaces {
  struct Node {
    std::string name;
    std::int64_t last_use_ns = 0;  ///< by the store's file system
  };
  NodeCache cache;          ///< image and identity are empty when nobody has noted them
  std::vector<Node> nodes;  ///< last used first
};

/// Which node keeps which cache: hints for who submits a job, never relied on by a launch. Small files below
/// the store, made by rename and removed, without locks: STORE/nodes/UID/CACHE/about, and .../on-NODE, which
/// that node's launches write and remove. UID, since each user's caches are that user's alone.
class Registry {
 public:
  explicit Registry(const fs::path& store);

  /// Notes what the cache is. Throws Error(environment) when the store cannot be written.
  void describe(const NodeCache& cache) const;
  /// Notes that `node` keeps it, now, below `node_dir`. Throws as describe().
  void add(const std::string& cache, const std::string& node, const fs::path& node_dir) const;
  /// Removes what is noted of `node` and is not so: caches below `node_dir` that `has` denies, and those in
  /// other folders since before the node's last boot.
  void correct(const std::string& node, const fs::path& node_dir,
               const std::function<bool(const std::string& cache)>& has) const;

  /// Every cache that some node keeps, last used first. What cannot be read is left out.
  std::vector<CachePlaces> list() const;

 private:
  fs::path folder_;
};

}  // namespace vmi
