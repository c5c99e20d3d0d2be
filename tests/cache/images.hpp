// SPDX-License-Identifier: Apache-2.0
// Images for tests, and models to compare what was made of them with.
#pragma once

#include "cachegen/cache/cache_file.hpp"
#include "cachegen/cache/cache_writer.hpp"
#include "tests/cache/tools.hpp"

#include <cstring>
#include <random>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmi::testing {

using Content = std::vector<std::byte>;

/// Random bytes with stretches of zeros, so that every kind of cluster occurs.
inline Content random_content(Bytes size, unsigned seed) {
  Content content(size);
  std::mt19937_64 random(seed);
  for (Bytes at = 0; at < size;) {
    const Bytes run = std::min<Bytes>(size - at, (1 + random() % 40) * 512);
    if (random() % 3 != 0) {
      for (Bytes i = at; i < at + run; ++i) content[i] = static_cast<std::byte>(random() | 1);
    }
    at += run;
  }
  return content;
}

inline void write_file(const fs::path& path, std::span<const std::byte> content) {
  const Fd file = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
  pwrite_all(file, content, 0, path);
}

inline Content read_file(const fs::path& path) {
  Content content(fs::file_size(path));
  pread_all(open_file(path, O_RDONLY), content, 0, path);
  return content;
}

inline void flip_byte(const fs::path& path, Bytes at, std::byte mask = std::byte{0x55}) {
  const Fd file = open_file(path, O_RDWR);
  std::byte byte[1];
  pread_all(file, byte, at, path);
  byte[0] ^= mask;
  pwrite_all(file, byte, at, path);
}

inline std::vector<BootExtent> random_extents(Bytes size, std::size_t count, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<BootExtent> extents;
  std::int64_t time = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Bytes offset = random() % size;
    extents.push_back({offset, std::min<Bytes>(size - offset, 1 + random() % 30000),
                       time += static_cast<std::int64_t>(random() % 100)});
  }
  return extents;
}

/// An image in a folder of its own, and what makes a cache of it.
struct Fixture {
  TempFolder folder{temp_root(), "cache-test-"};
  fs::path image_path = folder.path() / "base.raw";
  fs::path cache_path = folder.path() / "image.vmic";
  Content content;

  explicit Fixture(Bytes size = 4 * MiB, unsigned seed = 1) : content(random_content(size, seed)) {
    write_file(image_path, content);
  }

  ImageInfo image(const std::string& format = "raw") const {
    return inspect_image(image_path, soon(), format);
  }
  CacheRequest request(std::vector<BootExtent> extents, Bytes quota = 0,
                       Bytes cluster = kDefaultCacheCluster) const {
    return {.image = image(),
            .extents = std::move(extents),
            .quota = quota,
            .cluster_bytes = cluster,
            .facts = {{"runs", 2}, {"ready", "serial:login: "}}};
  }
  CacheSummary write(const CacheRequest& request) const {
    BaseReader base(request.image);
    return write_cache(request, base, cache_path);
  }
};

/// `qemu-img compare` of the cache, with its backing chain, and an image.
inline bool compares_equal(const fs::path& cache, const std::string& image, const std::string& format) {
  const RunResult result =
      run({"qemu-img", "compare", "-f", "qcow2", "-F", format, cache.string(), image}, soon());
  return result.ok() && result.out.find("Images are identical") != std::string::npos;
}

}  // namespace vmi::testing
