// SPDX-License-Identifier: Apache-2.0
#include "cachegen/profile/working_set.hpp"

#include <algorithm>
#include <random>
#include <set>

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

constexpr Bytes kBlock = 4096;
constexpr Bytes kImage = 1 * GiB;

TimedRead block_read(std::int64_t time, Bytes block, Bytes count = 1) {
  return {.time_us = time, .offset = block * kBlock, .bytes = count * kBlock};
}

WorkingSet merge(const std::vector<std::vector<TimedRead>>& runs) {
  return merge_runs(runs, kBlock, kImage);
}

/// First block of each extent, in order.
std::vector<Bytes> order(const WorkingSet& set) {
  std::vector<Bytes> blocks;
  for (const WorkingExtent& extent : set.extents) blocks.push_back(extent.offset / kBlock);
  return blocks;
}

}  // namespace

TEST_CASE("no runs and no reads make an empty working set") {
  CHECK(merge({}).extents.empty());
  const WorkingSet set = merge({{}});
  CHECK(set.extents.empty());
  CHECK(set.bytes == 0);
  CHECK(set.run_bytes == std::vector<Bytes>{0});
}

TEST_CASE("a read is widened to whole blocks") {
  const WorkingSet set = merge({{{.time_us = 5, .offset = kBlock - 1, .bytes = 2}}});
  CHECK(set.extents ==
        std::vector<WorkingExtent>{{.offset = 0, .bytes = 2 * kBlock, .first_access_us = 5, .runs_seen = 1}});
  CHECK(set.bytes == 2 * kBlock);
}

TEST_CASE("blocks are ordered by first access, repeats do not count") {
  const WorkingSet set =
      merge({{block_read(10, 100), block_read(20, 7), block_read(30, 100), block_read(40, 50)}});
  CHECK(order(set) == std::vector<Bytes>{100, 7, 50});
  CHECK(set.bytes == 3 * kBlock);
}

TEST_CASE("of overlapping reads each block keeps its first access") {
  const WorkingSet set = merge({{block_read(10, 2, 2), block_read(20, 0, 6)}});
  CHECK(set.extents == std::vector<WorkingExtent>{{2 * kBlock, 2 * kBlock, 10, 1},
                                                  {0, 2 * kBlock, 20, 1},
                                                  {4 * kBlock, 2 * kBlock, 20, 1}});
}

TEST_CASE("reads that are logged out of order are sorted by time") {
  CHECK(order(merge({{block_read(30, 1), block_read(10, 2), block_read(20, 1)}})) ==
        std::vector<Bytes>{2, 1});
}

TEST_CASE("several runs are ordered by mean first access") {
  // Block 1: (10 + 50) / 2; block 2: (20 + 20) / 2.
  const WorkingSet set =
      merge({{block_read(10, 1), block_read(20, 2)}, {block_read(20, 2), block_read(50, 1)}});
  CHECK(order(set) == std::vector<Bytes>{2, 1});
  CHECK(set.extents[1].first_access_us == 30);
  CHECK(set.extents[1].runs_seen == 2);
}

TEST_CASE("the mean is over the runs that read the block") {
  const WorkingSet set = merge({{block_read(100, 1)}, {block_read(200, 1)}, {}});
  CHECK(set.extents[0].first_access_us == 150);
  CHECK(set.extents[0].runs_seen == 2);
}

TEST_CASE("what a minority of the runs read comes last, the rarest at the very end") {
  std::vector<std::vector<TimedRead>> runs(5, {block_read(1000, 9)});
  runs[0].push_back(block_read(1, 1));  // seen once, and first of all
  runs[1].push_back(block_read(5, 2));
  runs[2].push_back(block_read(5, 2));
  runs[0].push_back(block_read(2000, 3));
  runs[1].push_back(block_read(2000, 3));
  runs[2].push_back(block_read(2000, 3));
  const WorkingSet set = merge(runs);
  CHECK(order(set) == std::vector<Bytes>{9, 3, 2, 1});
  CHECK(set.minority_bytes == 2 * kBlock);
}

TEST_CASE("one of two runs is no minority") {
  const WorkingSet set = merge({{block_read(10, 1), block_read(20, 2)}, {block_read(20, 2)}});
  CHECK(order(set) == std::vector<Bytes>{1, 2});
  CHECK(set.minority_bytes == 0);
}

TEST_CASE("adjacent blocks that differ in time or in runs stay apart") {
  const WorkingSet set =
      merge({{block_read(10, 1, 2), block_read(11, 3)}, {block_read(10, 1, 2), block_read(11, 3, 2)}});
  REQUIRE(set.extents.size() == 3);
  CHECK(set.extents[0].bytes == 2 * kBlock);
  CHECK(set.extents[1].runs_seen == 2);
  CHECK(set.extents[2].runs_seen == 1);
}

TEST_CASE("the last block ends where the image does, and reads beyond are ignored") {
  const Bytes image = 10 * kBlock + 512;
  const WorkingSet set = merge_runs({{{.time_us = 1, .offset = 9 * kBlock, .bytes = 64 * KiB},
                                      {.time_us = 2, .offset = image, .bytes = 512},
                                      {.time_us = 3, .offset = ~Bytes{0} - 10, .bytes = 100},
                                      {.time_us = 4, .offset = 0, .bytes = 0}}},
                                    kBlock, image);
  CHECK(set.extents == std::vector<WorkingExtent>{{9 * kBlock, kBlock + 512, 1, 1}});
  CHECK(set.bytes == kBlock + 512);
}

TEST_CASE("a read longer than the address space does not wrap") {
  const WorkingSet set =
      merge_runs({{{.time_us = 1, .offset = kBlock, .bytes = ~Bytes{0}}}}, kBlock, 4 * kBlock);
  CHECK(set.bytes == 3 * kBlock);
}

TEST_CASE("what the device reads before the guest starts is the guest's beginning") {
  CHECK(merge({{block_read(-11'000, 0)}}).extents[0].first_access_us == 0);
}

TEST_CASE("smaller and larger granularities") {
  const std::vector<std::vector<TimedRead>> runs = {{{.time_us = 1, .offset = 512, .bytes = 512}}};
  CHECK(merge_runs(runs, 512, kImage).bytes == 512);
  CHECK(merge_runs(runs, 64 * KiB, kImage).bytes == 64 * KiB);
}

TEST_CASE("extents are disjoint and hold exactly what was read, whatever was read") {
  std::mt19937 random(1);
  std::vector<std::vector<TimedRead>> runs(4);
  std::set<Bytes> expected;
  for (auto& run : runs) {
    for (int i = 0; i < 300; ++i) {
      const TimedRead read{.time_us = static_cast<std::int64_t>(random() % 1000),
                           .offset = random() % (4 * MiB),
                           .bytes = 1 + random() % (64 * KiB)};
      run.push_back(read);
      for (Bytes b = read.offset / kBlock; b <= (read.offset + read.bytes - 1) / kBlock; ++b)
        expected.insert(b);
    }
  }
  const WorkingSet set = merge(runs);
  std::set<Bytes> covered;
  bool disjoint = true;
  for (const WorkingExtent& extent : set.extents) {
    for (Bytes b = extent.offset / kBlock; b < (extent.offset + extent.bytes) / kBlock; ++b) {
      disjoint = disjoint && covered.insert(b).second;
    }
  }
  CHECK(disjoint);
  CHECK(covered == expected);
  CHECK(set.bytes == expected.size() * kBlock);
  const auto is_minority = [](const WorkingExtent& e) { return 2 * e.runs_seen < 4; };
  CHECK(std::is_partitioned(set.extents.begin(), set.extents.end(),
                            [&](const auto& e) { return !is_minority(e); }));
}
