// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/qcow2_format.hpp"
#include "cachegen/support/file.hpp"

#include <optional>
#include <vector>

namespace vmi {

/// A run of guest bytes that a cache holds.
struct CachedExtent {
  Bytes offset = 0;  ///< in the image; the last one may reach over its end, to the end of the cluster
  Bytes bytes = 0;
  std::optional<Bytes> file_offset;  ///< in the cache file; nothing: reads as zeros
  bool operator==(const CachedExtent&) const = default;
};

/// Reads the L1 and L2 tables: what they map, ascending and merged. Every number is checked before it is
/// used; throws Error(unusable) that says what points where it must not.
std::vector<CachedExtent> read_tables(const Fd& file, const fs::path& path, Bytes file_bytes,
                                      const qcow2::Header& header);

}  // namespace vmi
