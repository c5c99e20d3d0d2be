// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/extent.hpp"
#include "cachegen/cache/inspect.hpp"
#include "cachegen/cache/tables.hpp"

#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

/// A boot cache that is opened, its header, extension and trailer checked. Data is checked by verify_cache().
class CacheFile {
 public:
  /// Throws Error(unusable, "cannot use cache 'x': ...") when it is no boot cache, damaged or cut short. A
  /// cache that a QEMU has opened for writing is accepted; then sealed() is false.
  static CacheFile open(const fs::path& path);

  const fs::path& path() const { return inspection_.path; }
  const Fd& file() const { return inspection_.file; }
  Bytes file_bytes() const { return inspection_.file_bytes; }
  Bytes virtual_bytes() const { return inspection_.first->header.virtual_bytes; }
  Bytes cluster_bytes() const { return inspection_.first->header.cluster_bytes(); }
  const std::string& backing_name() const { return inspection_.first->backing_name; }
  std::string backing_format() const;
  Bytes quota() const { return inspection_.extension->quota; }

  /// The trailer is still true: nobody has opened the file for writing since it was made.
  bool sealed() const { return inspection_.sealed; }
  /// These throw Error(unusable) that says so when the cache is not sealed.
  const Trailer& trailer() const;
  const BaseIdentity& base() const { return trailer().base; }
  const nlohmann::json& facts() const { return trailer().facts; }

  /// What the tables map, ascending and merged where file offsets go on. Throws Error(unusable) for unsound
  /// tables.
  std::vector<CachedExtent> extents() const;
  /// Image bytes that are cached, zeros included, in whole clusters.
  Bytes cached_bytes() const;
  /// The boot order: the trailer's, as extents of the image.
  std::vector<BootExtent> order() const;

  /// Length of the prefix with all that QEMU reads to open the file and to look up any cluster; data lies
  /// behind it. The whole file when it is not sealed.
  Bytes metadata_bytes() const;

  /// hash64 of every kDigestChunk of the whole file. Sealed: mostly from the trailer, so it takes
  /// milliseconds, and it is what the file held when it was made. Else the file is read.
  std::vector<std::uint64_t> chunk_hashes() const;
  std::string digest() const;

  /// For `vmicache info --json`.
  nlohmann::json info() const;

 private:
  explicit CacheFile(Inspection inspection) : inspection_(std::move(inspection)) {}
  Inspection inspection_;
};

}  // namespace vmi
