// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/base_reader.hpp"
#include "cachegen/cache/tables.hpp"

#include <functional>
#include <string>
#include <vector>

namespace vmi {

struct Comparison {
  Bytes compared_bytes = 0;
  std::uint64_t different_clusters = 0;
  Bytes first_difference = 0;  ///< in the image
};

/// Compares cached clusters with the base. Clusters for which `skip(file offset)` is true are left out: they
/// are known to be damaged. `extents` as read_tables() gives them; `done` is called with the bytes compared
/// so far.
Comparison compare_with_base(const Fd& cache, const fs::path& path, const std::vector<CachedExtent>& extents,
                             Bytes virtual_bytes, Bytes cluster_bytes, BaseReader& base,
                             const std::function<bool(Bytes file_offset)>& skip,
                             const std::function<void(Bytes)>& done);

/// `count` clusters of `extents`, or all when there are no more: one drawn from each of so many equal parts,
/// the same ones for the same seed. Ascending.
std::vector<CachedExtent> sample_extents(const std::vector<CachedExtent>& extents, Bytes cluster_bytes,
                                         int count, std::uint64_t seed);

}  // namespace vmi
