// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/cache_file.hpp"

#include "cachegen/support/hash.hpp"

#include <algorithm>

namespace vmi {

CacheFile CacheFile::open(const fs::path& path) {
  Inspection inspection = inspect_cache(path);
  for (const Finding& finding : inspection.findings) {
    if (finding.fault != Fault::written)
      throw Error(ExitStatus::unusable, "cannot use cache '" + path.string() + "': " + finding.text);
  }
  return CacheFile(std::move(inspection));
}

std::string CacheFile::backing_format() const {
  const qcow2::Extension* extension = inspection_.first->find(qcow2::kExtensionBackingFormat);
  if (extension == nullptr) return {};
  return {reinterpret_cast<const char*>(extension->data.data()), extension->data.size()};
}

const Trailer& CacheFile::trailer() const {
  if (!sealed()) {
    throw Error(ExitStatus::unusable,
                "cache '" + path().string() +
                    "' was written by a QEMU since it was made, so what it says of itself may be outdated");
  }
  return *inspection_.trailer;
}

std::vector<CachedExtent> CacheFile::extents() const {
  try {
    return read_tables(file(), path(), file_bytes(), inspection_.first->header);
  } catch (const Error& error) {
    throw error.in("cannot use cache '" + path().string() + "'");
  }
}

Bytes CacheFile::cached_bytes() const {
  Bytes total = 0;
  for (const CachedExtent& extent : extents()) total += extent.bytes;
  return total;
}

std::vector<BootExtent> CacheFile::order() const {
  std::vector<BootExtent> order;
  for (const OrderRun& run : trailer().order) {
    const Bytes offset = run.cluster * cluster_bytes();
    if (offset >= virtual_bytes() || run.count > (virtual_bytes() - offset - 1) / cluster_bytes() + 1) {
      throw Error(ExitStatus::unusable,
                  "cannot use cache '" + path().string() + "': its boot order leaves the image");
    }
    order.push_back(
        {offset, std::min(run.count * cluster_bytes(), virtual_bytes() - offset), run.first_access_us});
  }
  return order;
}

Bytes CacheFile::metadata_bytes() const {
  if (!sealed()) return file_bytes();
  const auto& regions = trailer().regions;
  const auto data = std::ranges::find(regions, Region::data, &RegionSum::region);
  return data == regions.end() ? file_bytes() : std::min(data->offset, file_bytes());
}

std::vector<std::uint64_t> CacheFile::chunk_hashes() const {
  if (!sealed()) return vmi::chunk_hashes(file(), file_bytes());
  std::vector<std::uint64_t> hashes = trailer().chunk_hashes;
  hashes.resize(std::min<std::size_t>(hashes.size(), file_bytes() / kDigestChunk));
  std::vector<std::byte> chunk(kDigestChunk);
  for (Bytes at = hashes.size() * kDigestChunk; at < file_bytes(); at += kDigestChunk) {
    const std::span<std::byte> part(chunk.data(), std::min(kDigestChunk, file_bytes() - at));
    pread_all(file(), part, at, path());
    hashes.push_back(hash64(part));
  }
  return hashes;
}

std::string CacheFile::digest() const {
  return digest_of(chunk_hashes());
}

nlohmann::json CacheFile::info() const {
  Bytes cached = 0;
  Bytes zeros = 0;
  const std::vector<CachedExtent> all = extents();
  for (const CachedExtent& extent : all) {
    cached += extent.bytes;
    if (!extent.file_offset) zeros += extent.bytes;
  }
  nlohmann::json json = {{"path", path().string()},
                         {"format_version", kCacheFormatVersion},
                         {"sealed", sealed()},
                         {"virtual_bytes", virtual_bytes()},
                         {"cluster_bytes", cluster_bytes()},
                         {"cached_bytes", cached},
                         {"zero_bytes", zeros},
                         {"file_bytes", file_bytes()},
                         {"quota", quota()},
                         {"extents", all.size()},
                         {"digest", digest()},
                         {"backing_name", backing_name()},
                         {"backing_format", backing_format()}};
  if (sealed()) {
    json["metadata_bytes"] = metadata_bytes();
    json["runs_in_order"] = trailer().order.size();
    json["base"] = base().to_json();
    json["facts"] = facts();
  }
  return json;
}

}  // namespace vmi
