// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/cache_file.hpp"

#include "cachegen/cache/verify.hpp"
#include "cachegen/support/hash.hpp"
#include "tests/cache/images.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using namespace vmi::testing;

TEST_CASE("the digest and the chunk hashes of a cache are those of its bytes") {
  const Bytes bytes = GENERATE(as<Bytes>(), 4096, 200 * KiB, 256 * KiB, MiB, 3 * MiB);
  CAPTURE(bytes);
  const Fixture fixture;
  fixture.write(fixture.request({{0, bytes, 0}}));
  const CacheFile cache = CacheFile::open(fixture.cache_path);
  CHECK(cache.chunk_hashes() == chunk_hashes(cache.file(), cache.file_bytes()));
  CHECK(cache.digest() == digest_of(chunk_hashes(cache.file(), cache.file_bytes())));
}

TEST_CASE("the metadata comes first: QEMU opens and maps a cache that has nothing else yet") {
  const Fixture fixture;
  fixture.write(fixture.request({{MiB, MiB, 0}, {0, 300000, 1}}));
  const CacheFile cache = CacheFile::open(fixture.cache_path);
  const Bytes metadata = cache.metadata_bytes();
  CHECK(metadata < 64 * KiB);
  const std::string whole =
      tool({"qemu-img", "map", "--output=json", "-f", "qcow2", fixture.cache_path.string()});

  const fs::path partial = fixture.folder.path() / "partial";
  Content file = read_file(fixture.cache_path);
  std::fill(file.begin() + static_cast<std::ptrdiff_t>(metadata), file.end(), std::byte{0});
  write_file(partial, file);
  CHECK(check_is_clean(partial));
  CHECK(tool({"qemu-img", "map", "--output=json", "-f", "qcow2", partial.string()}) == whole);
}

TEST_CASE("info says what a script needs") {
  const Fixture fixture;
  fixture.write(fixture.request({{0, MiB, 0}}, 8 * MiB));
  const nlohmann::json info = CacheFile::open(fixture.cache_path).info();
  CHECK(info["virtual_bytes"] == 4 * MiB);
  CHECK(info["cached_bytes"] == MiB);
  CHECK(info["file_bytes"] == fs::file_size(fixture.cache_path));
  CHECK(info["quota"] == 8 * MiB);
  CHECK(info["extents"] > 0);
  CHECK(info["base"]["url"] == fixture.image_path.string());
  CHECK(info["base"]["digest"].get<std::string>().size() == 32);
  CHECK(info["facts"]["runs"] == 2);
  CHECK(info["sealed"] == true);
}

TEST_CASE("files that are no caches are refused as such") {
  const Fixture fixture;
  const fs::path other = fixture.folder.path() / "other";
  const auto refusal = [](const fs::path& path) -> std::string {
    try {
      CacheFile::open(path);
    } catch (const Error& error) {
      CHECK(error.status() == ExitStatus::unusable);
      return error.what();
    }
    return "not refused";
  };
  CHECK_THAT(refusal(fixture.image_path), Catch::Contains("base.raw") && Catch::Contains("not a qcow2 file"));
  tool({"qemu-img", "create", "-q", "-f", "qcow2", other.string(), "1M"});
  CHECK_THAT(refusal(other), Catch::Contains("without a boot cache's header extension"));
  tool({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "compat=0.10", other.string(), "1M"});
  CHECK_THAT(refusal(other), Catch::Contains("version is 2"));
  write_text_atomically(other, "");
  CHECK_THAT(refusal(other), Catch::Contains("no boot cache"));
  CHECK_THAT(refusal("/no/such/file"), Catch::Contains("No such file"));
  CHECK_THAT(refusal(fixture.folder.path()), Catch::Contains("not a file"));
  REQUIRE(mkfifo((fixture.folder.path() / "fifo").c_str(), 0600) == 0);
  CHECK_THAT(refusal(fixture.folder.path() / "fifo"), Catch::Contains("not a file"));
}

TEST_CASE("a cache with random damage is refused or read, and never does worse") {
  const Fixture fixture(2 * MiB);
  fixture.write(fixture.request({{0, 100000, 0}, {MiB, 100000, 0}}));
  const Content good = read_file(fixture.cache_path);
  std::mt19937_64 random(21);
  int refused = 0;
  for (int i = 0; i < 1500; ++i) {
    Content bytes = good;
    // Everywhere, or where structure is densest: in metadata.
    const Bytes reach = i % 2 == 0 ? bytes.size() : 40 * KiB;
    for (int flips = 0; flips < 1 + i % 8; ++flips) {
      const Bytes at = random() % reach;
      bytes[at] = static_cast<std::byte>(random());
      // Whole numbers of extreme values find overflows that single bytes do not.
      if (i % 3 == 0)
        std::memset(&bytes[round_down(at, 8)], static_cast<int>(random() % 3) - 1,
                    std::min<Bytes>(8, bytes.size() - round_down(at, 8)));
    }
    if (i % 5 == 0) bytes.resize(random() % bytes.size());
    if (i % 7 == 0)
      bytes[qcow2::kAutoclearOffset + 2] = std::byte{0};  // as QEMU leaves it: nothing vouches for anything
    write_file(fixture.cache_path, bytes);
    try {
      const CacheFile cache = CacheFile::open(fixture.cache_path);
      cache.info();
      if (cache.sealed()) cache.order();
    } catch (const Error&) {
      ++refused;
    }
    CHECK_NOTHROW(verify_cache(fixture.cache_path, nullptr, VerifyMode::full));
  }
  CHECK(refused > 500);
}
