// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace vmi {

using Bytes = std::uint64_t;
inline constexpr Bytes KiB = 1024;
inline constexpr Bytes MiB = 1024 * KiB;
inline constexpr Bytes GiB = 1024 * MiB;
inline constexpr Bytes TiB = 1024 * GiB;

using Seconds = std::chrono::duration<double>;

/// Parses "4096", "4K", "256M", "1.5G", "2T" (powers of 1024; "KiB", "kb", "B" endings accepted).
/// Throws Error(usage) that quotes the text.
Bytes parse_size(std::string_view text);

/// Parses "90", "90s", "500ms", "5m", "1h30m". Throws Error(usage) that quotes the text.
std::chrono::milliseconds parse_duration(std::string_view text);

/// "31.6 MiB", "4 KiB", "12 bytes".
std::string format_size(Bytes bytes);

/// "0.27 s", "1 min 30 s", "15 ms".
std::string format_duration(Seconds duration);

constexpr Bytes round_up(Bytes value, Bytes unit) {
  return (value + unit - 1) / unit * unit;
}
constexpr Bytes round_down(Bytes value, Bytes unit) {
  return value / unit * unit;
}

/// Nanoseconds of CLOCK_MONOTONIC, the clock of every timestamp on one node.
std::int64_t monotonic_ns();

}  // namespace vmi
