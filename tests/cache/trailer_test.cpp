// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/trailer.hpp"

#include "cachegen/cache/bytes.hpp"
#include "cachegen/support/error.hpp"
#include "cachegen/support/hash.hpp"

#include <random>

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

Trailer example() {
  Trailer trailer;
  trailer.base.image.url = "/images/x.qcow2";
  trailer.base.image.format = "qcow2";
  trailer.base.image.virtual_bytes = 2 * GiB;
  trailer.base.image.local = true;
  trailer.base.image.file_bytes = 123456;
  trailer.base.image.mtime_ns = 1'700'000'000'123'456'789;
  trailer.base.image.backing_chain.emplace_back().url = "/images/y.raw";
  trailer.base.digest = std::string(32, 'a');
  trailer.facts = {{"runs", 3}, {"qemu", "7.2.18"}};
  trailer.regions = {{{Region::header, 0, 4096, 1},
                      {Region::refcounts, 4096, 8192, 2},
                      {Region::l1, 12288, 4096, 3},
                      {Region::l2, 16384, 8192, 4},
                      {Region::data, 24576, 1000, 5},
                      {Region::data, 30000, 0, 6}}};
  trailer.chunk_hashes = {1, 2, 0xffffffffffffffff};
  trailer.order = {{500000, 3, false, 1000}, {7, 1, true, 1000}, {8, 100000, false, 900}, {0, 1, false, -4}};
  return trailer;
}

}  // namespace

TEST_CASE("a trailer is read back as it was written") {
  const Trailer trailer = example();
  const Trailer back = Trailer::decode(trailer.encode(65536), 65536);
  CHECK(back.base.to_json() == trailer.base.to_json());
  CHECK(back.base.image.mtime_ns == trailer.base.image.mtime_ns);
  CHECK(back.facts == trailer.facts);
  CHECK(back.chunk_hashes == trailer.chunk_hashes);
  CHECK(back.order == trailer.order);
  for (std::size_t i = 0; i < trailer.regions.size(); ++i) {
    CHECK(back.regions[i].region == trailer.regions[i].region);
    CHECK(back.regions[i].offset == trailer.regions[i].offset);
    CHECK(back.regions[i].bytes == trailer.regions[i].bytes);
    CHECK(back.regions[i].hash == trailer.regions[i].hash);
  }
}

TEST_CASE("every flipped byte of a trailer is noticed, and so is another place or length") {
  const std::vector<std::byte> good = example().encode(4096);
  REQUIRE_NOTHROW(Trailer::decode(good, 4096));
  for (std::size_t at = 0; at < good.size(); ++at) {
    CAPTURE(at);
    std::vector<std::byte> bytes = good;
    bytes[at] ^= std::byte{0x10};
    CHECK_THROWS_AS(Trailer::decode(bytes, 4096), Error);
  }
  CHECK_THROWS_AS(Trailer::decode(good, 8192), Error);
  CHECK_THROWS_AS(Trailer::decode(std::span(good).first(good.size() - 8), 4096), Error);
  CHECK_THROWS_AS(Trailer::decode(std::span(good).first(10), 4096), Error);
}

TEST_CASE("a trailer with a right checksum and wrong content is refused with an Error, never worse") {
  // Checksums guard against accidents; a crafted file must still not crash its reader.
  std::mt19937_64 random(3);
  const std::vector<std::byte> good = example().encode(4096);
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::byte> bytes = good;
    const std::size_t body = bytes.size() - kFooterBytes;
    for (int flips = 0; flips < 1 + i % 3; ++flips) bytes[random() % body] = static_cast<std::byte>(random());
    store_be64(&bytes[body + 16], hash64(std::span(bytes).first(body)));
    store_be64(&bytes[body + 32], hash64(std::span(bytes).subspan(body, 32)));
    try {
      Trailer::decode(bytes, 4096);
    } catch (const Error& error) {
      CHECK(error.status() == ExitStatus::unusable);
      ++refused;
    }
  }
  CHECK(refused > 1000);
}

TEST_CASE("the size of a trailer is foretold to the byte while clusters are added and taken back") {
  std::mt19937_64 random(5);
  Trailer trailer = example();
  TrailerSize size(trailer.base, trailer.facts);
  std::uint64_t cluster = 0;
  std::int64_t time = 0;
  for (int i = 0; i < 3000; ++i) {
    cluster = random() % 3 == 0 ? random() % 1'000'000'000 : cluster + 1;
    if (random() % 5 == 0) time += static_cast<std::int64_t>(random() % 100000) - 1000;
    if (random() % 4 == 0) {
      const auto before = size.order();
      const auto mark = size.mark();
      size.add(random() % 2 == 0 ? cluster : cluster + 1000, random() % 2 == 0, time);
      size.rewind(mark);
      REQUIRE(size.order() == before);
    }
    size.add(cluster, random() % 6 == 0, time);
    if (i % 50 != 0) continue;
    const Bytes offset = random() % (20 * MiB);
    trailer.order = size.order();
    trailer.chunk_hashes.resize(offset / kDigestChunk);
    REQUIRE(size.bytes(offset) == trailer.encode(offset).size());
  }
}

TEST_CASE("the order of a real boot takes few bytes") {
  // 3,000 extents of 12 KiB within 2 GiB: what the small guest image reads.
  std::mt19937_64 random(9);
  TrailerSize empty({}, {});
  TrailerSize size({}, {});
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t cluster = random() % 524288;
    for (std::uint64_t j = 0; j < 3; ++j) size.add(cluster + j, false, i * 2500);
  }
  CHECK(size.bytes(0) - empty.bytes(0) < 3000 * 8);
}

TEST_CASE("the header extension is read back, and another format version refused by number") {
  const CacheExtension extension{
      .quota = 256 * MiB, .facts_digest = std::string(32, 'f'), .trailer_offset = 1, .trailer_bytes = 2};
  std::vector<std::byte> bytes = extension.encode();
  const CacheExtension back = CacheExtension::decode(bytes);
  CHECK(back.quota == 256 * MiB);
  CHECK(back.facts_digest == std::string(32, 'f'));
  CHECK(back.trailer_offset == 1);
  CHECK(back.trailer_bytes == 2);
  bytes[3] = std::byte{9};
  CHECK_THROWS_WITH(CacheExtension::decode(bytes), Catch::Contains("format is 9"));
}
