// SPDX-License-Identifier: Apache-2.0
#include "experiments/simgrid/stages.hpp"

#include <fcntl.h>

namespace vmi {

Outgoing make_cache(const StageOptions& options) {
  Outgoing outgoing;
  outgoing.path = options.folder / "cache";
  const Fd file = open_file(outgoing.path, O_RDWR | O_CREAT | O_TRUNC);
  std::vector<std::byte> chunk(kDigestChunk);
  for (Bytes at = 0; at < options.cache_bytes; at += kDigestChunk) {
    const auto part = std::span(chunk).first(std::min<Bytes>(kDigestChunk, options.cache_bytes - at));
    fill_chunk(at / kDigestChunk, part);
    pwrite_all(file, part, at, outgoing.path);
  }
  outgoing.payload.name = "cache";
  outgoing.payload.size = options.cache_bytes;
  outgoing.payload.hashes = chunk_hashes(file, options.cache_bytes);
  outgoing.payload.digest = digest_of(outgoing.payload.hashes);
  return outgoing;
}

void letter_taken() {
}

}  // namespace vmi
