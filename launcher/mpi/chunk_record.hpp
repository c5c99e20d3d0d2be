// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace vmi {

/// The stream is a sequence of records: this header and then its bytes. Chunks come in
/// Payload::chunk_at()'s order; all-zero chunks are left out. Both ends run the same program on like
/// machines, so that the header goes as it lies in memory.
struct RecordHeader {
  static constexpr std::uint32_t kAbort =
      UINT32_MAX;  ///< instead of a chunk: the source gave up; the bytes say why
  static constexpr std::uint32_t kComplete = UINT32_MAX - 1;  ///< instead of a chunk: that was all

  std::uint32_t chunk = kComplete;
  std::uint32_t bytes = 0;  ///< that follow; fewer than the chunk has: zstd
};

using Record = std::vector<std::byte>;

inline Record make_record(std::uint32_t chunk, const std::string& text = {}) {
  Record record(sizeof(RecordHeader) + text.size());
  const RecordHeader header{chunk, static_cast<std::uint32_t>(text.size())};
  std::memcpy(record.data(), &header, sizeof header);
  std::memcpy(record.data() + sizeof header, text.data(), text.size());
  return record;
}

}  // namespace vmi
