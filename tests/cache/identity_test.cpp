// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/identity.hpp"

#include "cachegen/support/file.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

using namespace vmi;

namespace {

ImageInfo local_image(const fs::path& path) {
  struct stat info {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  ImageInfo image;
  image.url = path;
  image.format = "raw";
  image.virtual_bytes = static_cast<Bytes>(info.st_size);
  image.local = true;
  image.file_bytes = image.virtual_bytes;
  image.disk_bytes = static_cast<Bytes>(info.st_blocks) * 512;
  image.mtime_ns = 1;
  return image;
}

ImageInfo remote(const ImageInfo& image) {
  ImageInfo other;
  other.url = "nbd://server/x";
  other.format = "raw";
  other.virtual_bytes = image.virtual_bytes;
  return other;
}

}  // namespace

TEST_CASE("the digest of an image does not depend on where its holes are") {
  const TempFolder folder(temp_root(), "identity-test-");
  const auto make = [&](const std::string& name, bool holes) {
    const fs::path path = folder.path() / name;
    const Fd file = open_file(path, O_RDWR | O_CREAT);
    const std::string text = "some data";
    REQUIRE(ftruncate(file.get(), 3 * MiB + 100) == 0);
    if (!holes) pwrite_all(file, std::vector<std::byte>(3 * MiB + 100), 0, path);
    pwrite_all(file, std::as_bytes(std::span(text)), 1 * MiB + 70000, path);
    return local_image(path);
  };
  const ImageInfo sparse = make("sparse", true);
  const ImageInfo full = make("full", false);
  CHECK(digest_base(sparse).size() == 32);
  CHECK(digest_base(sparse) == digest_base(full));
  CHECK(digest_base(full, 2 * MiB).empty());
  CHECK(digest_base(remote(full)).empty());

  const Fd file = open_file(sparse.url, O_RDWR);
  pwrite_all(file, std::vector<std::byte>(1, std::byte{1}), 3 * MiB + 99, sparse.url);
  CHECK(digest_base(sparse) != digest_base(full));
}

TEST_CASE("an identity survives JSON") {
  BaseIdentity identity;
  identity.image.url = "/a";
  identity.image.format = "qcow2";
  identity.image.virtual_bytes = 5;
  identity.image.local = true;
  identity.image.file_bytes = 6;
  identity.image.mtime_ns = 7;
  identity.image.backing_chain.resize(2);
  identity.image.backing_chain[1].url = "nbd://x";
  identity.digest = "d";
  const BaseIdentity back = BaseIdentity::from_json(identity.to_json());
  CHECK(back.to_json() == identity.to_json());
  CHECK(back.image.mtime_ns == identity.image.mtime_ns);
  CHECK_FALSE(back.image.backing_chain[1].local);
  CHECK_THROWS_AS(BaseIdentity::from_json(nlohmann::json::parse("{\"url\":7}")), Error);
}

TEST_CASE("what differs between an image then and now is told apart") {
  BaseIdentity then;
  then.image.url = "/a";
  then.image.format = "qcow2";
  then.image.virtual_bytes = 1000;
  then.image.local = true;
  then.image.file_bytes = 10;
  then.image.mtime_ns = 1'700'000'000'500'000'000;
  ImageInfo now = then.image;
  CHECK(compare_identity(then, now).certain.empty());
  CHECK(compare_identity(then, now).touched.empty());

  SECTION("its name does not count") {
    now.url = "/b";
    CHECK(compare_identity(then, now).certain.empty());
  }
  SECTION("another modification time") {
    now.mtime_ns = 1'700'000'001'500'000'000;
    CHECK(compare_identity(then, now).certain.empty());
    REQUIRE(compare_identity(then, now).touched.size() == 1);
    CHECK_THAT(compare_identity(then, now).touched[0],
               Catch::Contains("2023-11-14T22:13:21.500Z") && Catch::Contains("2023-11-14T22:13:20.500Z"));
  }
  SECTION("another file size") {
    now.file_bytes = 11;
    CHECK(compare_identity(then, now).touched.size() == 1);
  }
  SECTION("another size") {
    now.virtual_bytes = 2000;
    CHECK(compare_identity(then, now).certain.size() == 1);
  }
  SECTION("another format") {
    now.format = "raw";
    CHECK(compare_identity(then, now).certain.size() == 1);
  }
  SECTION("a backing file more") {
    now.backing_chain.resize(1);
    CHECK(compare_identity(then, now).certain.size() == 1);
  }
  SECTION("the same content served over a network has no format or time of its own") {
    CHECK(compare_identity(then, remote(now)).certain.empty());
    CHECK(compare_identity(then, remote(now)).touched.empty());
  }
  SECTION("a changed backing file") {
    then.image.backing_chain.resize(1);
    then.image.backing_chain[0].local = true;
    then.image.backing_chain[0].mtime_ns = 1;
    now.backing_chain = then.image.backing_chain;
    now.backing_chain[0].mtime_ns = 2;
    CHECK(compare_identity(then, now).touched.size() == 1);
  }
}
