// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/image.hpp"

#include "tests/cache/tools.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>

using namespace vmi;
using namespace vmi::testing;

TEST_CASE("an image is described with its size, format and backing chain") {
  const TempFolder folder(temp_root(), "image-test-");
  const std::string base = (folder.path() / "base.raw").string();
  const std::string top = (folder.path() / "top.qcow2").string();
  tool({"qemu-img", "create", "-q", "-f", "raw", base, "3M"});
  tool({"qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", top, "5M"});

  const ImageInfo image = inspect_image(top, soon());
  CHECK(image.url == top);
  CHECK(image.format == "qcow2");
  CHECK(image.virtual_bytes == 5 * MiB);
  CHECK(image.local);
  CHECK(image.file_bytes == fs::file_size(top));
  REQUIRE(image.mtime_ns);
  REQUIRE(image.backing_chain.size() == 1);
  CHECK(image.backing_chain[0].url == base);
  CHECK(image.backing_chain[0].format == "raw");
  CHECK(image.backing_chain[0].virtual_bytes == 3 * MiB);
  CHECK(image.backing_chain[0].mtime_ns);
}

TEST_CASE("a raw image of an odd size has the size that QEMU gives it") {
  const TempFolder folder(temp_root(), "image-test-");
  write_text_atomically(folder.path() / "odd", std::string(1000, 'x'));
  const ImageInfo image = inspect_image(folder.path() / "odd", soon(), "raw");
  CHECK(image.virtual_bytes == 1024);
  CHECK(image.file_bytes == 1000);
}

TEST_CASE("relative paths, file: and names with a colon become absolute paths; URLs stay") {
  const TempFolder folder(temp_root(), "image-test-");
  write_text_atomically(folder.path() / "a:b", "");
  CHECK(image_url("x/y.img") == (fs::current_path() / "x/y.img").string());
  CHECK(image_url("file:/tmp/x") == "/tmp/x");
  CHECK(image_url("file:///tmp/x") == "/tmp/x");
  CHECK(image_url((folder.path() / "a:b").string()) == (folder.path() / "a:b").string());
  CHECK(image_url("nbd://host/x") == "nbd://host/x");
  CHECK(image_url("json:{\"driver\":\"null-co\"}") == "json:{\"driver\":\"null-co\"}");
}

TEST_CASE("what cannot be an image is refused with its name and the reason") {
  const TempFolder folder(temp_root(), "image-test-");
  const auto refusal = [](const std::string& name) -> std::string {
    try {
      inspect_image(name, soon());
    } catch (const Error& error) {
      CHECK(error.status() == ExitStatus::unusable);
      return error.what();
    }
    return "not refused";
  };
  CHECK_THAT(refusal("/no/such.qcow2"), Catch::Contains("'/no/such.qcow2': No such file or directory"));
  CHECK_THAT(refusal(folder.path().string()), Catch::Contains("it is a folder"));
  CHECK_THAT(refusal("nbd+unix:///?socket=/no/such/socket"), Catch::Contains("/no/such/socket"));
  write_text_atomically(folder.path() / "empty", "");
  CHECK_THAT(refusal((folder.path() / "empty").string()), Catch::Contains("it is empty"));
  write_text_atomically(folder.path() / "bad", std::string("QFI\xfb\0\0\0\3", 8) + std::string(600, 'x'));
  CHECK_THAT(refusal((folder.path() / "bad").string()), Catch::Contains("bad"));
}
