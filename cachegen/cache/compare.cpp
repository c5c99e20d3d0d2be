// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/compare.hpp"

#include "cachegen/cache/bytes.hpp"

#include <algorithm>
#include <cstring>
#include <random>

namespace vmi {
namespace {

/// Part of an extent that is read from the base at once.
struct Piece {
  ByteRange range;  ///< in the image
  std::optional<Bytes> file_offset;
};

std::vector<Piece> pieces_of(const std::vector<CachedExtent>& extents, Bytes virtual_bytes,
                             Bytes cluster_bytes) {
  const Bytes most = std::max(cluster_bytes, 1 * MiB);
  std::vector<Piece> pieces;
  for (const CachedExtent& extent : extents) {
    const Bytes bytes =
        extent.offset < virtual_bytes ? std::min(extent.bytes, virtual_bytes - extent.offset) : 0;
    for (Bytes at = 0; at < bytes; at += most) {
      const std::optional<Bytes> place =
          extent.file_offset ? std::optional(*extent.file_offset + at) : std::nullopt;
      pieces.push_back({{extent.offset + at, std::min(most, bytes - at)}, place});
    }
  }
  return pieces;
}

}  // namespace

Comparison compare_with_base(const Fd& cache, const fs::path& path, const std::vector<CachedExtent>& extents,
                             Bytes virtual_bytes, Bytes cluster_bytes, BaseReader& base,
                             const std::function<bool(Bytes)>& skip, const std::function<void(Bytes)>& done) {
  const std::vector<Piece> pieces = pieces_of(extents, virtual_bytes, cluster_bytes);
  std::vector<ByteRange> ranges;
  for (const Piece& piece : pieces) ranges.push_back(piece.range);

  Comparison result;
  std::vector<std::byte> ours;
  base.read_all(ranges, [&](std::size_t index, std::span<const std::byte> theirs) {
    const Piece& piece = pieces[index];
    ours.assign(theirs.size(), std::byte{0});
    if (piece.file_offset) pread_all(cache, ours, *piece.file_offset, path);
    for (Bytes at = 0; at < theirs.size(); at += cluster_bytes) {
      const Bytes bytes = std::min(cluster_bytes, theirs.size() - at);
      if (piece.file_offset && skip && skip(*piece.file_offset + at)) continue;
      result.compared_bytes += bytes;
      if (std::memcmp(ours.data() + at, theirs.data() + at, bytes) == 0) continue;
      if (result.different_clusters++ == 0) {
        const auto at_once =
            std::ranges::mismatch(std::span(ours).subspan(at, bytes), theirs.subspan(at, bytes));
        result.first_difference =
            piece.range.offset + at +
            static_cast<Bytes>(at_once.in1 - std::span(ours).subspan(at, bytes).begin());
      }
    }
    if (done) done(result.compared_bytes);
    return true;
  });
  return result;
}

std::vector<CachedExtent> sample_extents(const std::vector<CachedExtent>& extents, Bytes cluster_bytes,
                                         int count, std::uint64_t seed) {
  std::vector<std::uint64_t> ends;  // clusters up to the end of each extent
  std::uint64_t total = 0;
  for (const CachedExtent& extent : extents) ends.push_back(total += extent.bytes / cluster_bytes);
  if (total <= static_cast<std::uint64_t>(count)) return extents;

  std::mt19937_64 random(seed);
  const auto parts = static_cast<std::uint64_t>(count);
  std::vector<CachedExtent> sample;
  for (std::uint64_t part = 0; part < parts; ++part) {
    const std::uint64_t begin = part * total / parts;
    const std::uint64_t pick = begin + random() % ((part + 1) * total / parts - begin);
    const auto index = static_cast<std::size_t>(std::ranges::upper_bound(ends, pick) - ends.begin());
    const CachedExtent& extent = extents[index];
    const Bytes inside = (pick - (index == 0 ? 0 : ends[index - 1])) * cluster_bytes;
    sample.push_back({extent.offset + inside, cluster_bytes,
                      extent.file_offset ? std::optional(*extent.file_offset + inside) : std::nullopt});
  }
  return sample;
}

}  // namespace vmi
