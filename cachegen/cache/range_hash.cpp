// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/range_hash.hpp"

#include "cachegen/support/hash.hpp"

#include <algorithm>

namespace vmi {

std::uint64_t hash_range(const Fd& file, Bytes offset, Bytes bytes, const fs::path& path) {
  std::vector<std::uint64_t> hashes;
  std::vector<std::byte> piece(std::min(kDigestChunk, bytes));
  for (Bytes at = 0; at < bytes; at += kDigestChunk) {
    const std::span<std::byte> part(piece.data(), std::min(kDigestChunk, bytes - at));
    pread_all(file, part, offset + at, path);
    hashes.push_back(hash64(part));
  }
  return hash64(std::as_bytes(std::span(hashes)));
}

std::uint64_t hash_bytes(std::span<const std::byte> bytes) {
  std::vector<std::uint64_t> hashes;
  for (; !bytes.empty(); bytes = bytes.subspan(std::min<std::size_t>(kDigestChunk, bytes.size()))) {
    hashes.push_back(hash64(bytes.first(std::min<std::size_t>(kDigestChunk, bytes.size()))));
  }
  return hash64(std::as_bytes(std::span(hashes)));
}

}  // namespace vmi
