// SPDX-License-Identifier: Apache-2.0
#include "experiments/storage/disk_model.hpp"

#include <algorithm>
#include <cmath>

namespace vmi::storage {
namespace {

/// Of the block's number in the key; an image may have 2^40 of them.
constexpr unsigned kNumberBits = 40;

}  // namespace

std::uint32_t DiskModel::image(const std::string& name) {
  return images_.try_emplace(name, static_cast<std::uint32_t>(images_.size())).first->second;
}

Nanoseconds DiskModel::read(std::uint32_t image, std::uint64_t offset, std::uint64_t bytes, Nanoseconds now) {
  ++counters_.requests;
  counters_.asked_bytes += bytes;
  if (bytes == 0) return now;
  if (parameters_.memory_bytes < kBlock) return transfer(image, offset, bytes, now);
  Nanoseconds done = now;
  for (std::uint64_t number = offset / kBlock; number <= (offset + bytes - 1) / kBlock; ++number)
    done = std::max(done, block(image, number, now));
  return done;
}

/// When the block is in memory.
Nanoseconds DiskModel::block(std::uint32_t image, std::uint64_t number, Nanoseconds now) {
  const std::uint64_t key = std::uint64_t{image} << kNumberBits | number;
  if (const auto found = kept_.find(key); found != kept_.end()) {
    memory_.splice(memory_.begin(), memory_, found->second);
    return found->second->ready;
  }
  if ((memory_.size() + 1) * kBlock > parameters_.memory_bytes) {
    kept_.erase(memory_.back().key);
    memory_.pop_back();
  }
  memory_.push_front({key, transfer(image, number * kBlock, kBlock, now)});
  kept_[key] = memory_.begin();
  return memory_.front().ready;
}

/// When the disk has read it.
Nanoseconds DiskModel::transfer(std::uint32_t image, std::uint64_t offset, std::uint64_t bytes,
                                Nanoseconds now) {
  Nanoseconds takes = 0;
  if (parameters_.bytes_per_second > 0)
    takes += std::llround(1e9 * static_cast<double>(bytes) / parameters_.bytes_per_second);
  if (image != head_image_ || offset != head_offset_) {
    takes += parameters_.seek;
    ++counters_.seeks;
  }
  head_image_ = image;
  head_offset_ = offset + bytes;
  counters_.disk_bytes += bytes;
  counters_.busy += takes;
  free_at_ = std::max(now, free_at_) + takes;
  return free_at_;
}

}  // namespace vmi::storage
