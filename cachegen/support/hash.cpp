// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/hash.hpp"

#include "cachegen/support/file.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>

#include <xxhash.h>

namespace vmi {

static_assert(std::endian::native == std::endian::little, "chunk hashes are digested as they lie in memory");

std::uint64_t hash64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string hash128_hex(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return text;
}

std::vector<std::uint64_t> chunk_hashes(const Fd& file, Bytes size) {
  std::vector<std::uint64_t> hashes;
  std::vector<std::byte> chunk(kDigestChunk);
  for (Bytes at = 0; at < size; at += kDigestChunk) {
    const std::span<std::byte> part(chunk.data(), std::min(kDigestChunk, size - at));
    pread_all(file, part, at, "the file to digest");
    hashes.push_back(hash64(part));
  }
  return hashes;
}

std::string digest_of(std::span<const std::uint64_t> chunk_hashes) {
  return hash128_hex(std::as_bytes(chunk_hashes));
}

}  // namespace vmi
