// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/fd.hpp"
#include "cachegen/support/units.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace vmi {

/// XXH3, 64 bits. Guards against accidents, not against forgery.
std::uint64_t hash64(std::span<const std::byte> bytes);

/// XXH3, 128 bits, as 32 lower-case hexadecimal digits.
std::string hash128_hex(std::span<const std::byte> bytes);

/// A file's digest is hash128_hex over the little-endian hash64 of its chunks of this size, so that chunks
/// may be checked on their own and arrive in any order.
inline constexpr Bytes kDigestChunk = 256 * KiB;

/// hash64 of every kDigestChunk of `file` up to `size` bytes, the last one short.
std::vector<std::uint64_t> chunk_hashes(const Fd& file, Bytes size);

/// The digest that belongs to those chunk hashes.
std::string digest_of(std::span<const std::uint64_t> chunk_hashes);

}  // namespace vmi
