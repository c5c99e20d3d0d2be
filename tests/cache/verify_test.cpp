// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/verify.hpp"

#include "tests/cache/images.hpp"

#include <set>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace vmi;
using namespace vmi::testing;

namespace {

std::set<Fault> fatal(const VerifyResult& result) {
  std::set<Fault> faults;
  for (const Finding& finding : result.findings) {
    if (finding.fatal) faults.insert(finding.fault);
  }
  return faults;
}

VerifyResult verify(const fs::path& cache, VerifyMode mode = VerifyMode::full) {
  return verify_cache(cache, nullptr, mode);
}

VerifyResult verify(const fs::path& cache, const fs::path& image, VerifyMode mode = VerifyMode::full,
                    const std::string& format = "raw") {
  BaseReader base(inspect_image(image, soon(), format));
  return verify_cache(cache, &base, mode);
}

void touch(const fs::path& path) {
  fs::last_write_time(path, fs::last_write_time(path) + std::chrono::seconds(10));
}

/// The image's bytes are changed behind the back of everything that only looks at its time and size.
void change_secretly(const fs::path& path, Bytes at) {
  const auto time = fs::last_write_time(path);
  flip_byte(path, at);
  fs::last_write_time(path, time);
}

}  // namespace

TEST_CASE("a sound cache has no findings, with and without its image") {
  const Fixture fixture;
  fixture.write(fixture.request({{0, 2 * MiB, 0}}));
  CHECK(verify(fixture.cache_path).findings.empty());
  CHECK(verify(fixture.cache_path).checked_bytes > MiB);
  const VerifyResult result = verify(fixture.cache_path, fixture.image_path);
  CHECK(result.findings.empty());
  CHECK(result.compared_bytes == 2 * MiB);
  CHECK(verify(fixture.cache_path, fixture.image_path, VerifyMode::sample).compared_bytes <=
        kSampleClusters * 4096);
}

TEST_CASE("samples differ from call to call, so that together they see what one may miss") {
  const Fixture fixture;
  fixture.write(fixture.request({{0, MiB, 0}, {2 * MiB, 64 * KiB, 1}}));
  change_secretly(fixture.image_path, 2 * MiB + 5);
  BaseReader base(inspect_image(fixture.image_path, soon(), "raw"));
  int found = 0;
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    const auto usable = [&] {
      return verify_cache(fixture.cache_path, &base, VerifyMode::sample, {}, seed).usable();
    };
    const bool first = usable();
    CHECK(usable() == first);
    found += first ? 0 : 1;
  }
  // One cluster of the four or five from which one is drawn.
  CHECK(found > 4);
  CHECK(found < 32);
}

TEST_CASE("one flipped byte anywhere is found and named as what it is") {
  Fixture fixture(2 * MiB, 1);
  for (std::byte& byte : fixture.content) byte |= std::byte{1};
  write_file(fixture.image_path, fixture.content);
  fixture.write(fixture.request({{0, 700000, 0}, {MiB, 100000, 0}}));

  // Where the parts lie, from QEMU's own view of the file's beginning.
  const Content file = read_file(fixture.cache_path);
  const auto be64 = [&](Bytes at) { return load_be64(&file[at]); };
  const Bytes refcounts = be64(48);
  const Bytes l1 = be64(40);
  const Bytes l2 = be64(l1) & qcow2::kOffsetMask;
  const Bytes data = be64(l2) & qcow2::kOffsetMask;
  const Bytes trailer = CacheFile::open(fixture.cache_path).trailer().order.empty()
                            ? 0
                            : data + round_up(700000, 4096) + round_up(MiB + 100000, 4096) - MiB;
  REQUIRE(refcounts < l1);
  REQUIRE(l1 < l2);
  REQUIRE(l2 < data);
  REQUIRE(data + 3 * 256 * KiB < trailer);
  REQUIRE(trailer < file.size());
  const auto expected = [&](Bytes at) {
    return at < refcounts ? Fault::header
           : at < l1      ? Fault::refcounts
           : at < l2      ? Fault::l1_table
           : at < data    ? Fault::l2_table
           : at < trailer ? Fault::data
                          : Fault::trailer;
  };

  std::vector<Bytes> places;
  for (Bytes at = 0; at < 1024; ++at) places.push_back(at);
  for (Bytes at = 1024; at < file.size(); at += at < data || at >= trailer ? 61 : 1021) places.push_back(at);
  for (const Bytes border : {refcounts, l1, l2, data, trailer, Bytes{file.size()}})
    places.push_back(border - 1);
  for (const Bytes border : {refcounts, l1, l2, data, trailer}) places.push_back(border);
  for (const Bytes at : places) {
    CAPTURE(at);
    flip_byte(fixture.cache_path, at);
    const VerifyResult result = verify(fixture.cache_path);
    flip_byte(fixture.cache_path, at);
    REQUIRE_FALSE(result.usable());
    // One fault, one finding: nothing that follows from it is reported beside it.
    REQUIRE(result.findings.size() == 1);
    REQUIRE(std::string(fault_name(result.findings[0].fault)) == fault_name(expected(at)));
  }
  CHECK(verify(fixture.cache_path).findings.empty());

  SECTION("with the image, damage is not taken for a changed image") {
    for (const Bytes at : {data + 10, data + 300 * KiB, trailer - 1}) {
      flip_byte(fixture.cache_path, at);
      CHECK(fatal(verify(fixture.cache_path, fixture.image_path)) == std::set{Fault::data});
      flip_byte(fixture.cache_path, at);
    }
    flip_byte(fixture.cache_path, trailer + 100);
    CHECK(fatal(verify(fixture.cache_path, fixture.image_path)) == std::set{Fault::trailer});
    flip_byte(fixture.cache_path, trailer + 100);
    flip_byte(fixture.cache_path, l2 + 1);
    CHECK(fatal(verify(fixture.cache_path, fixture.image_path)) == std::set{Fault::l2_table});
  }
  SECTION("the message says where") {
    flip_byte(fixture.cache_path, data + 300 * KiB);
    CHECK_THAT(verify(fixture.cache_path).summary(),
               Catch::Contains("cached data are damaged") && Catch::Contains("file bytes 262144 to 524287"));
  }
  SECTION("the sample mode finds damage in metadata too") {
    flip_byte(fixture.cache_path, l2 + 5);
    CHECK(fatal(verify(fixture.cache_path, VerifyMode::sample)) == std::set{Fault::l2_table});
  }
}

TEST_CASE("a file cut short is called that, wherever it was cut") {
  const Fixture fixture;
  fixture.write(fixture.request({{0, MiB, 0}}));
  const Bytes whole = fs::file_size(fixture.cache_path);
  for (const Bytes size : {whole - 1, whole - 100, whole / 2, Bytes{8192}, Bytes{4096}, Bytes{700}}) {
    CAPTURE(size);
    fs::resize_file(fixture.cache_path, size);
    const VerifyResult result = verify(fixture.cache_path, fixture.image_path);
    CHECK(fatal(result) == std::set{Fault::truncated});
    CHECK_THAT(result.summary(),
               Catch::Contains(std::to_string(size) + " bytes of " + std::to_string(whole)));
    CHECK_THROWS_WITH(CacheFile::open(fixture.cache_path), Catch::Contains("cut short"));
    fs::resize_file(fixture.cache_path, whole);
  }
  for (const Bytes size : {Bytes{0}, Bytes{3}, Bytes{100}}) {
    fs::resize_file(fixture.cache_path, size);
    CHECK(fatal(verify(fixture.cache_path)) == std::set{Fault::not_a_cache});
  }
}

TEST_CASE("bytes behind the end are called that") {
  const Fixture fixture;
  fixture.write(fixture.request({{0, MiB, 0}}));
  fs::resize_file(fixture.cache_path, fs::file_size(fixture.cache_path) + 10);
  CHECK(fatal(verify(fixture.cache_path)) == std::set{Fault::extra_bytes});
}

TEST_CASE("a cache that a QEMU opened for writing is called that") {
  const Fixture fixture;
  fixture.write(fixture.request({{0, MiB, 0}}));
  SECTION("and only read") {
    tool({"qemu-io", "-f", "qcow2", "-c", "read 0 4k", fixture.cache_path.string()});
    CHECK(fatal(verify(fixture.cache_path)) == std::set{Fault::written});
    CHECK_THAT(verify(fixture.cache_path).summary(), Catch::Contains("opened it for writing"));
    // The image itself proves that the cache is right all the same.
    const VerifyResult proof = verify(fixture.cache_path, fixture.image_path);
    CHECK(proof.usable());
    REQUIRE(proof.findings.size() == 1);
    CHECK(proof.findings[0].fault == Fault::written);
    CHECK_FALSE(verify(fixture.cache_path, fixture.image_path, VerifyMode::sample).usable());
  }
  SECTION("and wrote into cached data") {
    tool({"qemu-io", "-f", "qcow2", "-c", "write -P 66 64k 4k", fixture.cache_path.string()});
    CHECK(fatal(verify(fixture.cache_path)) == std::set{Fault::written});
    CHECK(fatal(verify(fixture.cache_path, fixture.image_path)) == std::set{Fault::written, Fault::data});
  }
  SECTION("and wrote beside them, over the trailer") {
    tool({"qemu-io", "-f", "qcow2", "-c", "write -P 66 2M 64k", fixture.cache_path.string()});
    CHECK(check_is_clean(fixture.cache_path));
    CHECK(fatal(verify(fixture.cache_path)) == std::set{Fault::written});
    CHECK(fatal(verify(fixture.cache_path, fixture.image_path)) == std::set{Fault::written, Fault::data});
  }
  SECTION("and filled it from its base") {
    tool({"qemu-io", "-f", "qcow2", "-C", "-c", "read 2M 64k", fixture.cache_path.string()});
    CHECK(fatal(verify(fixture.cache_path)) == std::set{Fault::written});
    CHECK(verify(fixture.cache_path, fixture.image_path).usable());
    CHECK(verify(fixture.cache_path, fixture.image_path).compared_bytes >= MiB + 64 * KiB);
  }
}

TEST_CASE("a QEMU that only reads leaves a cache as it is") {
  const Fixture fixture;
  fixture.write(fixture.request({{0, MiB, 0}}));
  const Content before = read_file(fixture.cache_path);
  tool({"qemu-io", "-r", "-f", "qcow2", "-c", "read 0 4M", fixture.cache_path.string()});
  CHECK(read_file(fixture.cache_path) == before);
}

TEST_CASE("a changed image is found, by its size, its content or its time") {
  const Fixture fixture;
  fixture.write(fixture.request({{0, MiB, 0}, {2 * MiB, 64 * KiB, 1}}));

  SECTION("a cached byte") {
    change_secretly(fixture.image_path, 2 * MiB + 5);
    const VerifyResult result = verify(fixture.cache_path, fixture.image_path);
    CHECK(fatal(result) == std::set{Fault::base_changed});
    CHECK_THAT(result.summary(), Catch::Contains("its image has changed") &&
                                     Catch::Contains(fixture.image_path.string()) &&
                                     Catch::Contains("1 of 272 clusters") && Catch::Contains("byte 2097157"));
  }
  SECTION("a byte that is not cached does not matter: it is read from the image") {
    change_secretly(fixture.image_path, 3 * MiB);
    CHECK(verify(fixture.cache_path, fixture.image_path).findings.empty());
  }
  SECTION("its size") {
    fs::resize_file(fixture.image_path, 8 * MiB);
    CHECK(fatal(verify(fixture.cache_path, fixture.image_path)).contains(Fault::base_changed));
    CHECK_THAT(verify(fixture.cache_path, fixture.image_path, VerifyMode::sample).summary(),
               Catch::Contains("8388608") && Catch::Contains("4194304"));
  }
  SECTION("its time only: the recorded digest shows that nothing else changed") {
    touch(fixture.image_path);
    for (const VerifyMode mode : {VerifyMode::full, VerifyMode::sample}) {
      const VerifyResult result = verify(fixture.cache_path, fixture.image_path, mode);
      CHECK(result.usable());
      REQUIRE(result.findings.size() == 1);
      CHECK(result.findings[0].fault == Fault::base_touched);
      CHECK_THAT(result.findings[0].text, Catch::Contains("last modified"));
    }
  }
  SECTION("its time and a byte that is not cached: the sample refuses, the whole comparison is proof") {
    flip_byte(fixture.image_path, 3 * MiB);
    touch(fixture.image_path);
    const VerifyResult sample = verify(fixture.cache_path, fixture.image_path, VerifyMode::sample);
    CHECK(fatal(sample) == std::set{Fault::base_touched});
    CHECK_THAT(sample.summary(), Catch::Contains("its digest is another"));
    CHECK(verify(fixture.cache_path, fixture.image_path).usable());
  }
  SECTION("most of it: the sample finds that without any help") {
    const auto time = fs::last_write_time(fixture.image_path);
    write_file(fixture.image_path, random_content(4 * MiB, 99));
    fs::last_write_time(fixture.image_path, time);
    CHECK(fatal(verify(fixture.cache_path, fixture.image_path, VerifyMode::sample)) ==
          std::set{Fault::base_changed});
  }
}

TEST_CASE("a changed backing file of the image is found") {
  const Fixture fixture;
  const fs::path top = fixture.folder.path() / "top.qcow2";
  tool({"qemu-img", "create", "-q", "-f", "qcow2", "-b", fixture.image_path.string(), "-F", "raw",
        top.string()});
  const ImageInfo image = inspect_image(top, soon());
  {
    BaseReader base(image);
    write_cache({.image = image, .extents = {{0, MiB, 0}}}, base, fixture.cache_path);
  }
  flip_byte(fixture.image_path, 3 * MiB);
  touch(fixture.image_path);
  CHECK(fatal(verify(fixture.cache_path, top, VerifyMode::sample, "qcow2")) == std::set{Fault::base_touched});
}

TEST_CASE("a cache of another image is called that") {
  const Fixture fixture;
  const Fixture other(4 * MiB, 77);
  const Fixture larger(5 * MiB, 78);
  fixture.write(fixture.request({{0, MiB, 0}}));
  for (const VerifyMode mode : {VerifyMode::full, VerifyMode::sample}) {
    for (const Fixture* image : {&other, &larger}) {
      const VerifyResult result = verify(fixture.cache_path, image->image_path, mode);
      CHECK(fatal(result).contains(Fault::other_image));
      CHECK_THAT(result.summary(),
                 Catch::Contains("made from another image") && Catch::Contains(fixture.image_path.string()));
    }
  }
}

TEST_CASE("a copy of the image under another name is as good as the image") {
  const Fixture fixture;
  fixture.write(fixture.request({{0, MiB, 0}}));
  const fs::path copy = fixture.folder.path() / "copy.raw";
  fs::copy_file(fixture.image_path, copy);
  touch(copy);
  CHECK(verify(fixture.cache_path, copy).usable());
  CHECK(verify(fixture.cache_path, copy, VerifyMode::sample).usable());
}

TEST_CASE("an empty cache and one of zeros only are sound") {
  const Fixture fixture;
  fixture.write(fixture.request({}));
  CHECK(verify(fixture.cache_path, fixture.image_path).findings.empty());
  write_file(fixture.image_path, Content(4 * MiB));
  fixture.write(fixture.request({{0, 4 * MiB, 0}}));
  const VerifyResult result = verify(fixture.cache_path, fixture.image_path);
  CHECK(result.findings.empty());
  CHECK(result.compared_bytes == 4 * MiB);
  // A zero cluster stands for the image's zeros like any other cached byte.
  change_secretly(fixture.image_path, MiB);
  CHECK(fatal(verify(fixture.cache_path, fixture.image_path)) == std::set{Fault::base_changed});
}

TEST_CASE("the result reads the same as JSON") {
  const Fixture fixture;
  fixture.write(fixture.request({{0, MiB, 0}}));
  change_secretly(fixture.image_path, 5);
  const nlohmann::json json = verify(fixture.cache_path, fixture.image_path).to_json();
  CHECK(json["usable"] == false);
  CHECK(json["findings"][0]["fault"] == "base_changed");
  CHECK(json["findings"][0]["fatal"] == true);
  CHECK(json["compared_bytes"] == MiB);
}
