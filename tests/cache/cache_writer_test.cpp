// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/cache_writer.hpp"

#include "cachegen/cache/bytes.hpp"
#include "cachegen/support/hash.hpp"
#include "tests/cache/images.hpp"

#include <csignal>
#include <map>

#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <sys/stat.h>

using namespace vmi;
using namespace vmi::testing;

namespace {

/// Clusters in the order of their first mention.
std::vector<std::uint64_t> model_order(const std::vector<BootExtent>& extents, Bytes cluster) {
  std::vector<std::uint64_t> order;
  std::map<std::uint64_t, bool> seen;
  for (const BootExtent& extent : extents) {
    for (std::uint64_t c = extent.offset / cluster; c * cluster < extent.offset + extent.bytes; ++c) {
      if (!std::exchange(seen[c], true)) order.push_back(c);
    }
  }
  return order;
}

Content cluster_of(const Content& image, std::uint64_t index, Bytes cluster) {
  Content bytes(cluster);
  const Bytes from = index * cluster;
  std::copy_n(image.begin() + static_cast<std::ptrdiff_t>(from),
              std::min<Bytes>(cluster, image.size() - from), bytes.begin());
  return bytes;
}

}  // namespace

TEST_CASE("a cache holds exactly the clusters asked for, in boot order, and zeros take no room") {
  const Bytes cluster = GENERATE(as<Bytes>(), 512, 4096, 65536);
  const unsigned seed = GENERATE(1u, 2u, 3u);
  CAPTURE(cluster, seed);
  const Fixture fixture(4 * MiB + 512 * seed, seed);
  const auto extents = random_extents(fixture.content.size(), 60, seed);
  const CacheSummary summary = fixture.write(fixture.request(extents, 0, cluster));

  CHECK(check_is_clean(fixture.cache_path));
  CHECK(compares_equal(fixture.cache_path, fixture.image_path, "raw"));

  const CacheFile cache = CacheFile::open(fixture.cache_path);
  const Content file = read_file(fixture.cache_path);
  const auto order = model_order(extents, cluster);

  // What the tables say, cluster by cluster.
  std::map<std::uint64_t, std::optional<Bytes>> mapped;
  for (const CachedExtent& extent : cache.extents()) {
    for (Bytes at = 0; at < extent.bytes; at += cluster) {
      mapped[(extent.offset + at) / cluster] =
          extent.file_offset ? std::optional(*extent.file_offset + at) : std::nullopt;
    }
  }
  REQUIRE(mapped.size() == order.size());
  Bytes next = cache.metadata_bytes();
  Bytes zeros = 0;
  for (const std::uint64_t index : order) {
    REQUIRE(mapped.contains(index));
    const Content expected = cluster_of(fixture.content, index, cluster);
    const std::optional<Bytes> place = mapped[index];
    REQUIRE(place.has_value() != all_zero(expected));
    if (!place) {
      zeros += cluster;
      continue;
    }
    REQUIRE(*place == next);
    REQUIRE(std::equal(expected.begin(), expected.end(), file.begin() + static_cast<std::ptrdiff_t>(*place)));
    next += cluster;
  }

  CHECK(summary.cached_bytes == order.size() * cluster);
  CHECK(summary.wanted_bytes == summary.cached_bytes);
  CHECK(summary.zero_bytes == zeros);
  CHECK(cache.cached_bytes() == summary.cached_bytes);
  CHECK(summary.file_bytes == fs::file_size(fixture.cache_path));
  CHECK(summary.digest == cache.digest());
  CHECK(summary.digest == digest_of(chunk_hashes(cache.file(), cache.file_bytes())));
  CHECK(model_order(cache.order(), cluster) == order);
  CHECK(cache.order().front().first_access_us == extents.front().first_access_us);
  CHECK(cache.facts()["ready"] == "serial:login: ");
  CHECK(cache.base().image.url == fixture.image_path);
  CHECK(cache.backing_name() == fixture.image_path);
  CHECK(cache.backing_format() == "raw");
}

TEST_CASE("the quota is never exceeded and one cluster more would not have fitted") {
  const Bytes cluster = GENERATE(as<Bytes>(), 512, 4096);
  const Fixture fixture(4 * MiB, 5);
  const auto extents = random_extents(fixture.content.size(), 80, 5);
  const auto order = model_order(extents, cluster);
  for (const Bytes quota : {90 * KiB, 100'001ul, 333'333ul, 512 * KiB}) {
    CAPTURE(cluster, quota);
    const CacheSummary summary = fixture.write(fixture.request(extents, quota, cluster));
    CHECK(fs::file_size(fixture.cache_path) <= quota);
    CHECK(check_is_clean(fixture.cache_path));
    const CacheFile cache = CacheFile::open(fixture.cache_path);
    CHECK(cache.quota() == quota);

    const auto cached = model_order(cache.order(), cluster);
    REQUIRE(cached.size() < order.size());
    CHECK(std::equal(cached.begin(), cached.end(), order.begin()));
    CHECK(summary.wanted_bytes == order.size() * cluster);

    // The same prefix and one cluster more, without a quota, as one extent of every run of the full order.
    const CacheSummary all = fixture.write(fixture.request(extents, 0, cluster));
    std::vector<BootExtent> more;
    Bytes left = (cached.size() + 1) * cluster;
    for (BootExtent extent : CacheFile::open(fixture.cache_path).order()) {
      extent.bytes = std::min(extent.bytes, left);
      left -= extent.bytes;
      if (extent.bytes > 0) more.push_back(extent);
    }
    CHECK(fixture.write(fixture.request(more, 0, cluster)).file_bytes > quota);
    CHECK(all.cached_bytes == order.size() * cluster);
  }
}

TEST_CASE("a quota too small for the metadata is a usage error that says what it takes, and leaves nothing") {
  const Fixture fixture;
  try {
    fixture.write(fixture.request({{0, 4096, 0}}, 8 * KiB));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.status() == ExitStatus::usage);
    CHECK_THAT(error.what(), Catch::Contains("8 KiB is too small"));
  }
  CHECK_FALSE(fs::exists(fixture.cache_path));
  CHECK(std::distance(fs::directory_iterator(fixture.folder.path()), {}) == 1);
}

TEST_CASE("an empty cache is sound, and QEMU can fill it") {
  const Fixture fixture;
  fixture.write(fixture.request({}, MiB));
  CHECK(check_is_clean(fixture.cache_path));
  CHECK(compares_equal(fixture.cache_path, fixture.image_path, "raw"));
  CHECK(CacheFile::open(fixture.cache_path).sealed());
  CHECK(CacheFile::open(fixture.cache_path).cached_bytes() == 0);

  tool({"qemu-io", "-f", "qcow2", "-C", "-c", "read 100k 200k", fixture.cache_path.string()});
  CHECK(check_is_clean(fixture.cache_path));
  const CacheFile filled = CacheFile::open(fixture.cache_path);
  CHECK_FALSE(filled.sealed());
  CHECK(filled.quota() == MiB);
  CHECK(filled.cached_bytes() >= 200 * KiB);
  CHECK(filled.digest().size() == 32);
  CHECK_THROWS_WITH(filled.trailer(), Catch::Contains("written by a QEMU"));
}

TEST_CASE("any cluster size that qcow2 knows makes a sound cache") {
  const Bytes cluster = GENERATE(as<Bytes>(), 512, 1024, 2048, 8192, 16384, 32768, 131072, 524288, 2097152);
  CAPTURE(cluster);
  const Fixture fixture(5 * MiB + 512, 4);
  fixture.write(fixture.request(random_extents(fixture.content.size(), 20, 4), 0, cluster));
  CHECK(check_is_clean(fixture.cache_path));
  CHECK(compares_equal(fixture.cache_path, fixture.image_path, "raw"));
}

TEST_CASE("an old cache is replaced, anything else is left alone") {
  const Fixture fixture;
  const auto request = fixture.request({{0, MiB, 0}});
  write_text_atomically(fixture.cache_path, "");
  fixture.write(request);
  fixture.write(request);
  CHECK(CacheFile::open(fixture.cache_path).cached_bytes() == MiB);

  write_text_atomically(fixture.cache_path, "somebody's thesis");
  CHECK_THROWS_WITH(fixture.write(request), Catch::Contains("not a boot cache"));
  CHECK(read_text(fixture.cache_path) == "somebody's thesis");
  fs::remove(fixture.cache_path);
  fs::create_directory(fixture.cache_path);
  CHECK_THROWS_WITH(fixture.write(request), Catch::Contains("is a folder"));
}

TEST_CASE("a failure half-way leaves the old file and nothing else") {
  const Fixture fixture;
  fixture.write(fixture.request({{0, 4096, 0}}));
  const std::string before = CacheFile::open(fixture.cache_path).digest();
  const auto request = fixture.request({{0, 4 * MiB, 0}});

  SECTION("stopped by its caller") {
    BaseReader base(request.image);
    int calls = 0;
    CHECK_THROWS_WITH(write_cache(request, base, fixture.cache_path,
                                  [&](Bytes, Bytes) {
                                    if (++calls == 300) throw Error(ExitStatus::interrupted, "interrupted");
                                  }),
                      "interrupted");
  }
  SECTION("file too large for the limit, as a full disk would be") {
    const auto old = signal(SIGXFSZ, SIG_IGN);
    rlimit before_limit{};
    getrlimit(RLIMIT_FSIZE, &before_limit);
    const rlimit limit{MiB, before_limit.rlim_max};
    BaseReader base(request.image);
    setrlimit(RLIMIT_FSIZE, &limit);
    CHECK_THROWS_WITH(write_cache(request, base, fixture.cache_path), Catch::Contains("File too large"));
    setrlimit(RLIMIT_FSIZE, &before_limit);
    signal(SIGXFSZ, old);
  }
  SECTION("the image changes meanwhile") {
    BaseReader base(request.image);
    bool touched = false;
    CHECK_THROWS_WITH(write_cache(request, base, fixture.cache_path,
                                  [&](Bytes, Bytes) {
                                    if (!std::exchange(touched, true)) flip_byte(fixture.image_path, 3 * MiB);
                                  }),
                      Catch::Contains("changed while its cache was being made"));
  }
  CHECK(CacheFile::open(fixture.cache_path).digest() == before);
  CHECK(std::distance(fs::directory_iterator(fixture.folder.path()), {}) == 2);
}

TEST_CASE("a cache is readable by whom the umask lets") {
  const Fixture fixture;
  fixture.write(fixture.request({{0, 4096, 0}}));
  const mode_t mask = umask(0);
  umask(mask);
  CHECK(static_cast<mode_t>(fs::status(fixture.cache_path).permissions()) == (0666 & ~mask));
}

TEST_CASE("progress reaches exactly the total") {
  const Fixture fixture;
  const auto request = fixture.request(random_extents(4 * MiB, 50, 8));
  BaseReader base(request.image);
  Bytes last = 0;
  Bytes all = 0;
  const CacheSummary summary = write_cache(request, base, fixture.cache_path, [&](Bytes done, Bytes total) {
    CHECK(done > last);
    last = done;
    all = total;
  });
  CHECK(last == all);
  CHECK(all == summary.cached_bytes);
}
