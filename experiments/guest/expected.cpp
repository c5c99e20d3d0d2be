// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/base_reader.hpp"
#include "experiments/guest/checksum.h"
#include "experiments/guest/replay_trace.hpp"

#include <array>
#include <cstdio>
#include <cstring>
#include <unordered_map>

namespace vmi::replay {
namespace {

std::string hex(const replay_checksum& sum) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%08x%08x", sum.high, sum.low);
  return text.data();
}

/// Which step wrote a sector last.
using Writers = std::unordered_map<std::uint32_t, std::uint32_t>;

void lay_over(const Writers& writers, const replay_step& step, std::vector<std::byte>& data) {
  if (writers.empty()) return;
  for (std::uint32_t i = 0; i < step.bytes / REPLAY_SECTOR; ++i) {
    const auto writer = writers.find(step.sector + i);
    if (writer == writers.end()) continue;
    const std::uint32_t word = replay_pattern(step.sector + i, writer->second);
    for (std::size_t at = 0; at < REPLAY_SECTOR; at += sizeof word)
      std::memcpy(&data[i * REPLAY_SECTOR + at], &word, sizeof word);
  }
}

}  // namespace

Expected expected(const Trace& trace, const ImageInfo& image) {
  std::vector<ByteRange> ranges;
  for (const replay_step& step : trace.steps) {
    const ByteRange range{Bytes{step.sector} * REPLAY_SECTOR, step.bytes};
    if (range.end() > image.virtual_bytes) {
      throw Error(ExitStatus::unusable, "image '" + image.url + "' has " +
                                            std::to_string(image.virtual_bytes) +
                                            " bytes, and the trace goes beyond them; it is another image's");
    }
    if (step.write == 0) ranges.push_back(range);
  }

  Expected result;
  replay_checksum full{}, sample{};
  Writers writers;
  std::vector<std::byte> data;
  std::uint32_t number = 0;
  const auto pass_writes = [&] {
    for (; number < trace.steps.size() && trace.steps[number].write != 0; ++number) {
      const replay_step& step = trace.steps[number];
      for (std::uint32_t i = 0; i < step.bytes / REPLAY_SECTOR; ++i) writers[step.sector + i] = number;
      ++result.writes;
      result.written_bytes += step.bytes;
    }
  };
  BaseReader reader(image);
  reader.read_all(ranges, [&](std::size_t, std::span<const std::byte> bytes) {
    pass_writes();
    const replay_step& step = trace.steps[number];
    data.assign(bytes.begin(), bytes.end());
    lay_over(writers, step, data);
    replay_add_full(&full, number, data.data(), step.bytes);
    replay_add_sample(&sample, number, data.data(), step.bytes);
    ++result.reads;
    result.read_bytes += step.bytes;
    ++number;
    return true;
  });
  pass_writes();
  result.full = hex(full);
  result.sample = hex(sample);
  return result;
}

}  // namespace vmi::replay
