// SPDX-License-Identifier: Apache-2.0
#include "cachegen/profile/read_trace.hpp"

#include "cachegen/support/error.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace vmi {
namespace {

constexpr std::string_view kMagic = "VMITRACE";
constexpr std::uint64_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 40;
constexpr std::size_t kRecordBytes = 32;
constexpr std::uint64_t kHit = 1;
constexpr std::uint64_t kMiss = 2;
constexpr std::uint64_t kFailed = 16;

std::uint64_t little_endian(std::span<const std::byte> bytes, std::size_t at, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = width; i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(bytes[at + i]);
  return value;
}
std::uint64_t u32(std::span<const std::byte> bytes, std::size_t at) {
  return little_endian(bytes, at, 4);
}
std::uint64_t u64(std::span<const std::byte> bytes, std::size_t at) {
  return little_endian(bytes, at, 8);
}

}  // namespace

void ReadTrace::feed(std::span<const std::byte> bytes) {
  unfinished_.insert(unfinished_.end(), bytes.begin(), bytes.end());
  if (!begun()) {
    if (unfinished_.size() < kHeaderBytes) return;
    take_header();
  }
  std::span<const std::byte> rest = unfinished_;
  for (; rest.size() >= record_bytes_; rest = rest.subspan(record_bytes_)) take_record(rest);
  unfinished_.erase(unfinished_.begin(), unfinished_.end() - static_cast<std::ptrdiff_t>(rest.size()));
}

void ReadTrace::take_header() {
  const std::span<const std::byte> header = unfinished_;
  const bool ours = std::equal(kMagic.begin(), kMagic.end(), header.begin(),
                               [](char c, std::byte b) { return std::byte(c) == b; });
  if (!ours || u32(header, 8) != kVersion || u32(header, 12) != kHeaderBytes ||
      u32(header, 16) < kRecordBytes) {
    throw Error(
        ExitStatus::environment,
        "the block driver's trace has a form that is not understood; QEMU and vmicache must be built from "
        "the same version");
  }
  record_bytes_ = u32(header, 16);
  realtime_minus_monotonic_ns_ = static_cast<std::int64_t>(u64(header, 24) - u64(header, 32));
  unfinished_.erase(unfinished_.begin(), unfinished_.begin() + kHeaderBytes);
}

void ReadTrace::take_record(std::span<const std::byte> record) {
  const std::uint64_t flags = u32(record, 28);
  if ((flags & kFailed) != 0) return;
  const std::int64_t submit_ns = static_cast<std::int64_t>(u64(record, 0)) + realtime_minus_monotonic_ns_;
  Extent extent{.read = {.time_us = submit_ns / 1000, .offset = u64(record, 16), .bytes = u32(record, 24)}};
  if ((flags & kHit) != 0) extent.source = Extent::Source::cache;
  if ((flags & kMiss) != 0) extent.source = Extent::Source::base;
  extents_.push_back(extent);
}

}  // namespace vmi
