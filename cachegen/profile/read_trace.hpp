// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/profile/boot_trace.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace vmi {

/// Reads the trace file of the block driver vmicache (docs/trace-format.md), piece by piece.
class ReadTrace {
 public:
  /// A run of bytes that one layer served; neither: both have a hole there.
  struct Extent {
    enum class Source { cache, base, neither };
    BaseRead read;
    Source source = Source::neither;
  };

  /// More of the file, cut anywhere. Throws Error(environment) for a file of another kind or version.
  void feed(std::span<const std::byte> bytes);

  bool begun() const { return record_bytes_ != 0; }  ///< the header is known
  const std::vector<Extent>& extents() const { return extents_; }

 private:
  void take_header();
  void take_record(std::span<const std::byte> record);

  std::vector<std::byte> unfinished_;
  std::size_t record_bytes_ = 0;
  std::int64_t realtime_minus_monotonic_ns_ = 0;
  std::vector<Extent> extents_;
};

}  // namespace vmi
