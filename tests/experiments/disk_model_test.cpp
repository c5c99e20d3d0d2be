// SPDX-License-Identifier: Apache-2.0
#include "experiments/storage/disk_model.hpp"

#include <catch2/catch.hpp>

using namespace vmi::storage;

namespace {

constexpr Nanoseconds kMs = 1'000'000;
constexpr std::uint64_t kBlock = DiskModel::kBlock;

/// 8 ms a seek, 1 ms for each block's transfer.
DiskParameters slow_disk(std::uint64_t memory_blocks = 0) {
  return {.seek = 8 * kMs, .bytes_per_second = 1000.0 * kBlock, .memory_bytes = memory_blocks * kBlock};
}

}  // namespace

TEST_CASE("reading on costs the transfer alone, anything else a seek too") {
  DiskModel disk(slow_disk());
  const std::uint32_t a = disk.image("a");
  CHECK(disk.read(a, 0, kBlock, 0) == 9 * kMs);
  CHECK(disk.read(a, kBlock, 2 * kBlock, 20 * kMs) == 22 * kMs);
  CHECK(disk.read(a, 3 * kBlock, kBlock / 2, 30 * kMs) == 30 * kMs + kMs / 2);
  CHECK(disk.read(a, 0, kBlock, 40 * kMs) == 49 * kMs);  // back
  CHECK(disk.read(a, 0, kBlock, 50 * kMs) == 59 * kMs);  // the same again: without memory, a seek
  CHECK(disk.counters().seeks == 3);
  CHECK(disk.counters().requests == 5);
  CHECK(disk.counters().disk_bytes == 5 * kBlock + kBlock / 2);
  CHECK(disk.counters().busy == 3 * 8 * kMs + 5 * kMs + kMs / 2);
}

TEST_CASE("all images share one disk, which does one thing at a time in order") {
  DiskModel disk(slow_disk());
  const std::uint32_t a = disk.image("a"), b = disk.image("b");
  CHECK(disk.image("a") == a);
  CHECK(disk.read(a, 0, kBlock, 0) == 9 * kMs);
  CHECK(disk.read(b, kBlock, kBlock, 0) == 18 * kMs);  // where the head would stand, in another image
  CHECK(disk.read(a, kBlock, kBlock, 1 * kMs) == 27 * kMs);
  CHECK(disk.read(a, 2 * kBlock, kBlock, 100 * kMs) == 101 * kMs);
  CHECK(disk.counters().busy == 28 * kMs);
}

TEST_CASE("memory keeps whole blocks, and those who ask for one on its way wait for it") {
  DiskModel disk(slow_disk(4));
  const std::uint32_t a = disk.image("a");
  CHECK(disk.read(a, 100, 512, 0) == 9 * kMs);
  CHECK(disk.read(a, 4096, 512, 2 * kMs) == 9 * kMs);
  CHECK(disk.read(a, 8192, 512, 20 * kMs) == 20 * kMs);
  CHECK(disk.read(a, kBlock - 512, 1024, 30 * kMs) ==
        31 * kMs);  // into the next block, which lies under the head
  CHECK(disk.counters().disk_bytes == 2 * kBlock);
  CHECK(disk.counters().seeks == 1);
  CHECK(disk.counters().asked_bytes == 3 * 512 + 1024);
}

TEST_CASE("memory that is full gives up what was not used for longest") {
  DiskModel disk(slow_disk(2));
  const std::uint32_t a = disk.image("a");
  disk.read(a, 0, 1, 0);
  disk.read(a, 5 * kBlock, 1, 100 * kMs);
  disk.read(a, 0, 1, 200 * kMs);
  disk.read(a, 9 * kBlock, 1, 300 * kMs);  // in block 5's place
  CHECK(disk.read(a, 0, 1, 400 * kMs) == 400 * kMs);
  CHECK(disk.read(a, 5 * kBlock, 1, 500 * kMs) == 509 * kMs);
  CHECK(disk.counters().disk_bytes == 4 * kBlock);
}

TEST_CASE("a disk without parameters takes no time") {
  DiskModel disk;
  CHECK(disk.read(disk.image("a"), 12345, 678, 7) == 7);
  CHECK(disk.counters().busy == 0);
}
