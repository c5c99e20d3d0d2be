// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/units.hpp"

#include <cstdint>
#include <vector>

namespace vmi {

/// A read of the image by one boot.
struct TimedRead {
  std::int64_t time_us = 0;  ///< since the guest started
  Bytes offset = 0;
  Bytes bytes = 0;
};

/// A piece of the boot working set.
struct WorkingExtent {
  Bytes offset = 0;
  Bytes bytes = 0;
  std::int64_t first_access_us = 0;  ///< mean over the runs that read it
  int runs_seen = 0;
  bool operator==(const WorkingExtent&) const = default;
};

/// What the boots of an image read, in the order in which it should be kept: first what at least half of the
/// runs read, by mean first access; then what fewer did, the rarest last, so that a quota cuts that off
/// first.
struct WorkingSet {
  std::vector<WorkingExtent> extents;  ///< disjoint
  Bytes bytes = 0;
  Bytes minority_bytes = 0;      ///< of these, what less than half of the runs read
  std::vector<Bytes> run_bytes;  ///< what each run alone read
};

/// Merges the reads of one or more runs. Reads are widened to blocks of `granularity` bytes (a power of two)
/// and cut at the image's end; blocks that were read together in all runs stay one extent.
WorkingSet merge_runs(const std::vector<std::vector<TimedRead>>& runs, Bytes granularity, Bytes image_bytes);

}  // namespace vmi
