// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/hash.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace vmi {

/// What is distributed: a file (a boot cache, or a whole image). The first node's leader knows it, the offer
/// tells all others.
struct Payload {
  std::string name;  ///< for messages: the cache's or image's path
  Bytes size = 0;
  Bytes metadata_bytes = 0;  ///< prefix of the file that suffices to open it (qcow2's tables); 0: none
  std::string digest;        ///< digest_of(hashes)
  std::vector<std::uint64_t> hashes;  ///< chunk_hashes() of the file

  std::size_t chunks() const { return hashes.size(); }
  Bytes chunk_offset(std::size_t chunk) const { return chunk * kDigestChunk; }
  Bytes chunk_bytes(std::size_t chunk) const;
  /// The chunk whose turn it is after `position` others. Those of the metadata come first and in order, the
  /// rest from 32 places of the file in turn: neighbours compress alike, and a stream in the file's order
  /// would leave the links idle where it compresses well and the processors where it does not.
  std::size_t chunk_at(std::size_t position) const;
  /// Whether the chunk holds nothing but zeros, which its hash says; such chunks are neither sent nor
  /// written.
  bool is_zero(std::size_t chunk) const;
  Bytes bytes_to_write() const;  ///< of a file that holds it, zero chunks left out
  /// "chunk 17 (bytes 4456448 to 4718592) of 'x.vmic'".
  std::string describe_chunk(std::size_t chunk) const;

  /// Throws Error(unusable) when number of hashes, size and digest do not belong together.
  void check() const;

  std::string to_bytes() const;
  static Payload from_bytes(const std::string& bytes);
};

}  // namespace vmi
