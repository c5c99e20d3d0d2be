// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/hdf5/schema.hpp"

namespace vmi {

/// One block request of a guest while it booted, as /boot_trace of `vmicache build --trace-out` and of a
/// launch's record holds it: guest level, in the order of submission, writes included.
struct BootTraceRow {
  std::int64_t run = kUnknownCount;  ///< which of the profile's boots, from 0
  std::string image;                 ///< path or URL of the base image
  double t_submit = kUnknownTime;    ///< seconds since the guest began to run
  double t_complete = kUnknownTime;  ///< the same clock
  std::string op;                    ///< "read", "write", "flush", "discard", "zero"
  std::int64_t offset = kUnknownCount;
  std::int64_t bytes = kUnknownCount;
  std::int64_t hit =
      kUnknownCount;  ///< 1: all of it from the cache; 0: some of it from the base; -1: not known
};

inline const TableSchema<BootTraceRow>& boot_trace_schema() {
  using Row = BootTraceRow;
  static const TableSchema<Row> schema{"boot_trace",
                                       {{"run", "1", &Row::run},
                                        {"image", "", &Row::image},
                                        {"t_submit", "s", &Row::t_submit},
                                        {"t_complete", "s", &Row::t_complete},
                                        {"op", "", &Row::op},
                                        {"offset", "bytes", &Row::offset},
                                        {"bytes", "bytes", &Row::bytes},
                                        {"hit", "1", &Row::hit}}};
  return schema;
}

/// One boot of a profile, as /boot_runs of `vmicache build --trace-out` holds it.
struct BootRunRow {
  std::int64_t run = kUnknownCount;  ///< as in /boot_trace
  double t_ready = kUnknownTime;     ///< the guest said that it is ready; /boot_trace's clock
};

inline const TableSchema<BootRunRow>& boot_run_schema() {
  using Row = BootRunRow;
  static const TableSchema<Row> schema{"boot_runs",
                                       {{"run", "1", &Row::run}, {"t_ready", "s", &Row::t_ready}}};
  return schema;
}

}  // namespace vmi
