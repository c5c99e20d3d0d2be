// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "cachegen/cache/image.hpp"

namespace vmi {

struct ByteRange {
  Bytes offset = 0;
  Bytes bytes = 0;
  bool operator==(const ByteRange&) const = default;
};

/// Reads any image that QEMU opens, as a guest would see it: backing chain, compressed clusters, network protocols and all.
/// A child qemu-nbd does the opening and ends with this object; we speak NBD to it over a socket in a temporary folder.
class BaseReader {
 public:
  /// Throws Error(unusable) when QEMU cannot open the image, with QEMU's words.
  /// `stall`: the longest that one read may take before Error(timed_out).
  explicit BaseReader(const ImageInfo& image, std::chrono::seconds stall = std::chrono::seconds(60));
  ~BaseReader();
  BaseReader(BaseReader&&) noexcept;
  BaseReader& operator=(BaseReader&&) noexcept;

  const ImageInfo& image() const;

  /// Reads inside the image; past its end (a last cluster that reaches over it) come zeros.
  void read(Bytes offset, std::span<std::byte> into);

  /// Reads many ranges with several requests in flight and hands each over in the order given. `take` may throw.
  using Take = std::function<void(std::size_t index, std::span<const std::byte> bytes)>;
  void read_all(std::span<const ByteRange> ranges, const Take& take);

  /// The parts of a range that the image's metadata knows to read as zeros, ascending and merged.
  std::vector<ByteRange> zero_ranges(ByteRange range);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vmi
