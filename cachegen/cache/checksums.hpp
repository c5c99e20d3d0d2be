// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/inspect.hpp"
#include "cachegen/cache/tables.hpp"

#include <functional>
#include <vector>

namespace vmi {

/// What the checksums of a trailer say about the file around it.
struct ChecksumResult {
  Findings findings;
  std::vector<std::pair<Bytes, Bytes>> bad_data;  ///< [begin, end) of the file
  Bytes checked_bytes = 0;
};

/// Checks refcounts, L1 and L2 tables and the data beside them against their checksums, which takes
/// milliseconds.
void check_regions(const Inspection& cache, ChecksumResult& result);

/// Checks all other data. `done` is called with the bytes checked so far.
void check_chunks(const Inspection& cache, ChecksumResult& result, const std::function<void(Bytes)>& done);

/// Checks that the tables map exactly what the trailer's order says, and where it says; an empty text when
/// they do.
std::string check_order(const Trailer& trailer, const std::vector<CachedExtent>& extents,
                        Bytes cluster_bytes);

}  // namespace vmi
