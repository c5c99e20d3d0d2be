// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/image.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace vmi {

struct ByteRange {
  Bytes offset = 0;
  Bytes bytes = 0;
  Bytes end() const { return offset + bytes; }
  bool operator==(const ByteRange&) const = default;
};

/// Reads any image that QEMU opens, as a guest would see it: backing chain, compressed clusters, network
/// protocols and all. A child qemu-nbd does the opening and ends with this object; we speak NBD to it over a
/// socket in a temporary folder. Make it and use it on one thread.
class BaseReader {
 public:
  /// Throws Error(unusable) when QEMU cannot open the image, with QEMU's words.
  /// `stall`: the longest that a wait may last without an answer before Error(timed_out).
  explicit BaseReader(const ImageInfo& image, std::chrono::seconds stall = std::chrono::seconds(60));
  ~BaseReader();
  BaseReader(BaseReader&&) noexcept;
  BaseReader& operator=(BaseReader&&) noexcept;

  const ImageInfo& image() const;

  /// Zeros are read past the image's end, where its last cluster may reach.
  void read(Bytes offset, std::span<std::byte> into);

  /// The most that one range of read_all() may have.
  static constexpr Bytes kMostRange = 2 * MiB;

  /// Reads many ranges with several requests in flight and hands each over in the order given, until `take`
  /// returns false. `take` may throw; the reader is of no use afterwards.
  using Take = std::function<bool(std::size_t index, std::span<const std::byte> bytes)>;
  void read_all(std::span<const ByteRange> ranges, const Take& take);

  /// The parts of `ranges` that the image's metadata knows to read as zeros, past its end included; ascending
  /// and merged. `ranges` must be ascending and disjoint.
  std::vector<ByteRange> zero_ranges(std::span<const ByteRange> ranges);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vmi
