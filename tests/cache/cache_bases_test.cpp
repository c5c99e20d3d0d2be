// SPDX-License-Identifier: Apache-2.0
// Every kind of base: what is cached must be what a guest would read from it.
#include "cachegen/cache/verify.hpp"
#include "tests/cache/images.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using namespace vmi::testing;

namespace {

/// Makes a cache of `image` and holds it to everything that is promised of one.
CacheSummary check_cache_of(const ImageInfo& image, const fs::path& cache_path,
                            std::vector<BootExtent> extents, Bytes cluster = kDefaultCacheCluster) {
  BaseReader base(image);
  CacheSummary summary = write_cache(
      {.image = image, .extents = std::move(extents), .cluster_bytes = cluster}, base, cache_path);
  CHECK(check_is_clean(cache_path));
  CHECK(compares_equal(cache_path, image.url, image.format));
  const CacheFile cache = CacheFile::open(cache_path);
  CHECK(cache.virtual_bytes() == image.virtual_bytes);
  for (const VerifyMode mode : {VerifyMode::full, VerifyMode::sample}) {
    const VerifyResult result = verify_cache(cache_path, &base, mode);
    CHECK(result.summary().empty());
    CHECK(result.findings.empty());
    CHECK(result.compared_bytes > 0);
  }
  return summary;
}

void convert(const fs::path& from, const fs::path& to, Argv options) {
  Argv argv = {"qemu-img", "convert", "-f", "raw", "-O", "qcow2"};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.insert(argv.end(), {from.string(), to.string()});
  tool(argv);
}

}  // namespace

TEST_CASE("bases of every format and cluster size") {
  const Bytes size = GENERATE(as<Bytes>(), 4 * MiB, 4 * MiB + 512, 3 * MiB + 4096 - 512);
  const Bytes cluster = GENERATE(as<Bytes>(), 512, 4096);
  CAPTURE(size, cluster);
  const Fixture fixture(size, 3);
  const auto extents = random_extents(size, 40, 3);
  const fs::path image = fixture.folder.path() / "base.qcow2";

  SECTION("raw") {
    check_cache_of(fixture.image(), fixture.cache_path, extents, cluster);
  }
  SECTION("qcow2") {
    convert(fixture.image_path, image, {});
    check_cache_of(inspect_image(image, soon()), fixture.cache_path, extents, cluster);
  }
  SECTION("compressed qcow2") {
    convert(fixture.image_path, image, {"-c", "-o", "cluster_size=4k"});
    check_cache_of(inspect_image(image, soon()), fixture.cache_path, extents, cluster);
  }
  SECTION("qcow2 with sub-clusters") {
    convert(fixture.image_path, image, {"-o", "extended_l2=on"});
    check_cache_of(inspect_image(image, soon()), fixture.cache_path, extents, cluster);
  }
}

TEST_CASE("a base with a backing chain of its own, partly overwritten, partly zeroed") {
  const Fixture fixture(2 * MiB, 6);
  const fs::path middle = fixture.folder.path() / "middle.qcow2";
  const fs::path top = fixture.folder.path() / "top.qcow2";
  tool({"qemu-img", "create", "-q", "-f", "qcow2", "-b", fixture.image_path.string(), "-F", "raw",
        middle.string(), "3M"});
  tool({"qemu-io", "-f", "qcow2", "-c", "write -P 17 300k 100k", "-c", "write -z 1M 128k", middle.string()});
  tool({"qemu-img", "create", "-q", "-f", "qcow2", "-b", middle.string(), "-F", "qcow2", top.string()});
  tool({"qemu-io", "-f", "qcow2", "-c", "write -P 18 350k 10k", top.string()});
  const ImageInfo image = inspect_image(top, soon());
  REQUIRE(image.backing_chain.size() == 2);
  check_cache_of(image, fixture.cache_path, {{0, 3 * MiB, 0}});
  check_cache_of(image, fixture.cache_path, random_extents(3 * MiB, 50, 6));
  CHECK(CacheFile::open(fixture.cache_path).base().image.backing_chain.size() == 2);
}

TEST_CASE("unallocated and zeroed areas are cached and cost nothing but their tables") {
  const TempFolder folder(temp_root(), "bases-test-");
  const fs::path path = folder.path() / "sparse.qcow2";
  tool({"qemu-img", "create", "-q", "-f", "qcow2", path.string(), "1G"});
  const CacheSummary summary =
      check_cache_of(inspect_image(path, soon()), folder.path() / "c", {{0, GiB, 0}});
  CHECK(summary.cached_bytes == GiB);
  CHECK(summary.zero_bytes == GiB);
  CHECK(summary.file_bytes < GiB / 480);
}

TEST_CASE("a raw image of an odd byte size is cached as QEMU sees it, rounded up with zeros") {
  const Fixture fixture(MiB + 1000, 2);
  const ImageInfo image = fixture.image();
  REQUIRE(image.virtual_bytes == MiB + 1024);
  check_cache_of(image, fixture.cache_path, {{MiB - 4096, 5120, 0}});
}

TEST_CASE("an image of 2 TiB: its first and last bytes are cached, in a file that occupies little") {
  const TempFolder folder(temp_root(), "bases-test-");
  const fs::path path = folder.path() / "huge.qcow2";
  tool({"qemu-img", "create", "-q", "-f", "qcow2", path.string(), "2T"});
  tool({"qemu-io", "-f", "qcow2", "-c", "write -P 3 0 64k", "-c", "write -P 4 1T 64k", "-c",
        "write -P 5 2199023190016 64k", path.string()});
  const fs::path cache = folder.path() / "c";
  const CacheSummary summary = check_cache_of(inspect_image(path, soon()), cache,
                                              {{2 * TiB - 65536, 65536, 0}, {TiB, 65536, 1}, {0, 65536, 2}});
  CHECK(summary.file_bytes < 9 * MiB);
  struct stat info {};
  REQUIRE(stat(cache.c_str(), &info) == 0);
  CHECK(info.st_blocks * 512 < 512 * 1024);
}

TEST_CASE("512-byte clusters end at 128 GiB, with a clear word beyond") {
  const TempFolder folder(temp_root(), "bases-test-");
  const fs::path path = folder.path() / "large.raw";
  tool({"qemu-img", "create", "-q", "-f", "raw", path.string(), "128G"});
  ImageInfo image = inspect_image(path, soon());
  {
    BaseReader base(image);
    const CacheRequest request{
        .image = image, .extents = {{128 * GiB - 4096, 4096, 0}, {0, 4096, 1}}, .cluster_bytes = 512};
    CHECK(write_cache(request, base, folder.path() / "c").cached_bytes == 8192);
    CHECK(check_is_clean(folder.path() / "c"));
    CHECK(verify_cache(folder.path() / "c", &base, VerifyMode::full).findings.empty());
  }
  image.virtual_bytes += 512;
  const Fixture fixture;
  BaseReader base(fixture.image());
  CHECK_THROWS_WITH(write_cache({.image = image, .cluster_bytes = 512}, base, folder.path() / "d"),
                    Catch::Contains("too large for clusters of 512"));
}

TEST_CASE("a base path of 1,000 characters") {
  const TempFolder folder(temp_root(), "bases-test-");
  fs::path path = folder.path();
  while (path.native().size() < 1000 - 220) {
    path /= std::string(200, 'd');
    fs::create_directory(path);
  }
  path /= std::string(1000 - path.native().size() - 1, 'f');
  REQUIRE(path.native().size() == 1000);
  write_file(path, random_content(MiB, 1));
  check_cache_of(inspect_image(path, soon(), "raw"), folder.path() / "c", {{0, MiB, 0}});
  CHECK(CacheFile::open(folder.path() / "c").backing_name() == path);

  BaseReader base(inspect_image(path, soon(), "raw"));
  CHECK_THROWS_WITH(write_cache({.image = base.image(), .cluster_bytes = 512}, base, folder.path() / "d"),
                    Catch::Contains("shorter path"));
}

TEST_CASE("names that would be taken for something else") {
  const TempFolder folder(temp_root(), "bases-test-");
  const std::string name = GENERATE("a:b.img", "a b.img", "a,b=c.img", "'q\".img", "-f.img");
  const fs::path path = folder.path() / name;
  write_file(path, random_content(MiB, 1));
  check_cache_of(inspect_image(path, soon(), "raw"), folder.path() / "c", {{4096, 300000, 0}});
}

TEST_CASE("a base behind an NBD server on a Unix socket") {
  const Fixture fixture(4 * MiB + 512, 9);
  const fs::path socket = fixture.folder.path() / "s";
  const auto extents = random_extents(4 * MiB, 40, 9);
  const std::string url = "nbd+unix:///?socket=" + socket.string();
  SECTION("qemu-nbd") {
    const fs::path qcow2 = fixture.folder.path() / "b.qcow2";
    convert(fixture.image_path, qcow2, {});
    const Child server = serve({"qemu-nbd", "--read-only", "--persistent", "--shared=8", "-f", "qcow2", "-k",
                                socket.string(), qcow2.string()},
                               socket);
    check_cache_of(inspect_image(url, soon()), fixture.cache_path, extents);
    CHECK(CacheFile::open(fixture.cache_path).backing_name() == url);

    // The same cache serves the file behind the server: what counts is what it holds.
    BaseReader local(inspect_image(qcow2, soon()));
    CHECK(verify_cache(fixture.cache_path, &local, VerifyMode::full).usable());
  }
  SECTION("nbdkit") {
    const Child server =
        serve({"nbdkit", "-f", "-r", "-U", socket.string(), "file", fixture.image_path.string()}, socket);
    check_cache_of(inspect_image(url, soon()), fixture.cache_path, extents);
  }
}
