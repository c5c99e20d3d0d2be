// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "cachegen/cache/extent.hpp"
#include "cachegen/cache/identity.hpp"
#include "cachegen/cache/qcow2_format.hpp"
#include "cachegen/cache/trailer.hpp"
#include "cachegen/support/file.hpp"

namespace vmi {

/// A run of guest bytes that a cache holds.
struct CachedExtent {
  Bytes offset = 0;                    ///< in the image
  Bytes bytes = 0;
  std::optional<Bytes> file_offset;    ///< in the cache file; nothing: reads as zeros
  bool operator==(const CachedExtent&) const = default;
};

/// A boot cache, opened and its header, extension and trailer checked. Data is checked by verify_cache().
class CacheFile {
 public:
  /// Throws Error(unusable, "cannot use cache 'x': ...") when it is no boot cache, damaged or cut short. A cache that a QEMU
  /// has opened for writing is accepted: then sealed() is false and there is no trailer.
  static CacheFile open(const fs::path& path);

  const fs::path& path() const { return path_; }
  const Fd& file() const { return file_; }
  Bytes file_bytes() const { return file_bytes_; }
  Bytes virtual_bytes() const { return first_.header.virtual_bytes; }
  Bytes cluster_bytes() const { return first_.header.cluster_bytes(); }
  const std::string& backing_name() const { return first_.backing_name; }
  Bytes quota() const { return extension_.quota; }
  const qcow2::FirstCluster& first_cluster() const { return first_; }

  /// The trailer is still true: nobody has written the file since it was made.
  bool sealed() const { return trailer_.has_value(); }
  /// These three throw Error(unusable) that says so when the cache is not sealed.
  const Trailer& trailer() const;
  const BaseIdentity& base() const { return trailer().base; }
  const nlohmann::json& facts() const { return trailer().facts; }

  /// What the tables map, ascending and merged where file offsets go on. Every offset is checked against the file.
  std::vector<CachedExtent> extents() const;
  Bytes cached_bytes() const;

  /// Length of the prefix with all that QEMU reads to open the file and to look up any cluster; data lies behind it.
  Bytes metadata_bytes() const;

  /// hash64 of every kDigestChunk of the whole file. Sealed: mostly from the trailer, so it takes milliseconds and is what
  /// the file held when it was made. Else the file is read.
  std::vector<std::uint64_t> chunk_hashes() const;
  std::string digest() const;

  /// For `vmicache info --json`.
  nlohmann::json info() const;

 private:
  CacheFile() = default;
  fs::path path_;
  Fd file_;
  Bytes file_bytes_ = 0;
  qcow2::FirstCluster first_;
  CacheExtension extension_;
  std::optional<Trailer> trailer_;
};

}  // namespace vmi
