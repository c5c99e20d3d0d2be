// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/image.hpp"
#include "cachegen/hdf5/boot_trace_table.hpp"
#include "cachegen/support/file.hpp"
#include "experiments/guest/trace_format.h"

#include <vector>

namespace vmi::replay {

/// A boot trace as the replay guest has it.
struct Trace {
  replay_header header{};
  std::vector<replay_step> steps;
};

/// The boot `run` of a recorded trace until it was ready at `t_ready` (seconds on the rows' clock); reads and
/// writes only.
///
/// Which requests a request waited for is not recorded. It is taken to have waited for all that had ended by
/// then, but those behind the oldest one still under way; and for what it overlaps, when one of the two
/// writes. Throws Error(unusable) for a run that is not there and for what the guest cannot replay.
Trace convert(const std::vector<BootTraceRow>& rows, std::int64_t run, double t_ready);

/// Throw Error(environment) and Error(unusable).
void write_trace(const fs::path& path, const Trace& trace);
Trace read_trace(const fs::path& path);

/// The two checksums that a guest which read the right bytes prints, 16 hexadecimal digits each, and what it
/// read.
struct Expected {
  std::string full, sample;
  std::uint64_t reads = 0, writes = 0;
  Bytes read_bytes = 0, written_bytes = 0;
};

/// Reads the trace's reads from the image, and lays the trace's own writes over them.
/// Throws Error(unusable) when the image cannot be read or is too small.
Expected expected(const Trace& trace, const ImageInfo& image);

}  // namespace vmi::replay
