// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <list>
#include <string>
#include <unordered_map>

namespace vmi::storage {

/// Nanoseconds on any one clock, as the caller has it.
using Nanoseconds = std::int64_t;

struct DiskParameters {
  Nanoseconds seek = 0;            ///< to move the head to where it is not
  double bytes_per_second = 0;     ///< of the transfer; 0: no transfer takes time
  std::uint64_t memory_bytes = 0;  ///< that keeps what was read, in whole kBlock; 0: nothing is kept
};

struct DiskCounters {
  std::uint64_t requests = 0;     ///< asked by clients
  std::uint64_t asked_bytes = 0;  ///< in them
  std::uint64_t disk_bytes = 0;   ///< read from the disk, in whole blocks where there is memory
  std::uint64_t seeks = 0;
  Nanoseconds busy = 0;  ///< the disk's, seeks and transfers
};

/// One disk under all images of a storage node, and the memory above it. It only computes times; nothing here
/// waits or reads.
///
/// The disk has one head and does one thing at a time, in the order of the requests. Each image is one piece
/// of the disk: reading on where the head stands costs the transfer alone, everything else a seek too,
/// however far. Memory works as an operating system's page cache: what is not there is read in whole blocks
/// (that is its read-ahead) and kept until blocks used later need the room; who asks for a block that is on
/// its way waits for it.
class DiskModel {
 public:
  static constexpr std::uint64_t kBlock = 65'536;

  DiskModel() = default;
  explicit DiskModel(const DiskParameters& parameters) : parameters_(parameters) {}

  /// The number by which read() knows an image.
  std::uint32_t image(const std::string& name);

  /// When a request that comes at `now` has been served. `now` must not go back from call to call.
  Nanoseconds read(std::uint32_t image, std::uint64_t offset, std::uint64_t bytes, Nanoseconds now);

  const DiskCounters& counters() const { return counters_; }

 private:
  struct Kept {
    std::uint64_t key = 0;
    Nanoseconds ready = 0;  ///< when it has come from the disk
  };

  Nanoseconds transfer(std::uint32_t image, std::uint64_t offset, std::uint64_t bytes, Nanoseconds now);
  Nanoseconds block(std::uint32_t image, std::uint64_t number, Nanoseconds now);

  DiskParameters parameters_;
  DiskCounters counters_;
  Nanoseconds free_at_ = std::numeric_limits<Nanoseconds>::min();
  std::uint32_t head_image_ = std::numeric_limits<std::uint32_t>::max();
  std::uint64_t head_offset_ = 0;
  std::unordered_map<std::string, std::uint32_t> images_;
  std::list<Kept> memory_;  ///< latest use first
  std::unordered_map<std::uint64_t, std::list<Kept>::iterator> kept_;
};

}  // namespace vmi::storage
