// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"

#include <cstddef>
#include <span>

namespace vmi {

/// Checksum of a part of a file, however long: hash64 over the little-endian hash64 of each kDigestChunk of
/// the part, counted from its beginning.
std::uint64_t hash_range(const Fd& file, Bytes offset, Bytes bytes, const fs::path& path);

/// The same of bytes in memory.
std::uint64_t hash_bytes(std::span<const std::byte> bytes);

}  // namespace vmi
