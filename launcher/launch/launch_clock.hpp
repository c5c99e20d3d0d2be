// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace vmi {

/// The launch's common zero, and how to read every rank's clock on it.
class LaunchClock {
 public:
  /// Zero is now, on this process's clock.
  static LaunchClock start();
  /// The clock of rank 0, as it told the others.
  static LaunchClock of(std::int64_t zero_ns);

  std::int64_t zero_ns() const { return zero_ns_; }

  /// Seconds since zero of a local CLOCK_MONOTONIC time on rank 0's own node.
  double at(std::int64_t monotonic_ns) const { return static_cast<double>(monotonic_ns - zero_ns_) * 1e-9; }
  /// The same for another node; `offset_ns` added to its clock gives rank 0's (ClockOffset).
  double at(std::int64_t monotonic_ns, std::int64_t offset_ns) const { return at(monotonic_ns + offset_ns); }
  double now() const;
  /// Zero as UTC, ISO 8601 with milliseconds: "2024-05-01T12:00:00.123Z".
  const std::string& start_text() const { return start_text_; }

 private:
  std::int64_t zero_ns_ = 0;
  std::string start_text_;
};

}  // namespace vmi
