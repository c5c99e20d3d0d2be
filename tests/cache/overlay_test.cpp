// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/overlay.hpp"

#include "tests/cache/tools.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace vmi;
using namespace vmi::testing;

TEST_CASE("an overlay is a sound qcow2 with sub-clusters, of the size asked for") {
  const TempFolder folder(temp_root(), "overlay-test-");
  const Bytes size = GENERATE(as<Bytes>(), 512, 1000, 64 * KiB, 2 * GiB + 512, 2 * TiB, 64 * TiB);
  CAPTURE(size);
  const fs::path path = folder.path() / "o.qcow2";
  create_overlay(path, size);

  CHECK(check_is_clean(path));
  const auto info = nlohmann::json::parse(tool({"qemu-img", "info", "--output=json", path.string()}));
  CHECK(info["virtual-size"] == round_up(size, 512));
  CHECK(info["cluster-size"] == kOverlayCluster);
  CHECK(info["format-specific"]["data"]["extended-l2"] == true);
  CHECK_FALSE(info.contains("backing-filename"));
  CHECK(info["actual-size"] <= 64 * KiB);
}

TEST_CASE("an overlay takes writes at both ends and stays sound") {
  const TempFolder folder(temp_root(), "overlay-test-");
  const fs::path path = folder.path() / "o.qcow2";
  create_overlay(path, 2 * TiB);
  tool({"qemu-io", "-f", "qcow2", "-c", "write -P 7 0 2k", "-c", "write -P 9 2199023253504 2k",
        path.string()});
  const std::string out = tool({"qemu-io", "-f", "qcow2", "-c", "read -v -P 7 0 2k", "-c",
                                "read -P 9 2199023253504 2k", "-c", "read -P 0 2k 62k", path.string()});
  CHECK_THAT(out, !Catch::Contains("verification failed"));
  CHECK(check_is_clean(path));
}

TEST_CASE("an overlay reads through to the layer that is given as its backing node") {
  const TempFolder folder(temp_root(), "overlay-test-");
  const fs::path base = folder.path() / "base.raw";
  tool({"qemu-img", "create", "-q", "-f", "raw", base.string(), "1M"});
  tool({"qemu-io", "-f", "raw", "-c", "write -P 5 512k 4k", base.string()});
  const fs::path path = folder.path() / "o.qcow2";
  create_overlay(path, MiB);
  const std::string options = "driver=qcow2,file.filename=" + path.string() +
                              ",backing.driver=raw,backing.file.filename=" + base.string();
  const std::string out = tool({"qemu-io", "--image-opts", "-c", "write -P 6 514k 512", "-c",
                                "read -P 5 512k 2k", "-c", "read -P 6 514k 512", options});
  CHECK_THAT(out, !Catch::Contains("verification failed"));
}

TEST_CASE("an overlay never replaces a file") {
  const TempFolder folder(temp_root(), "overlay-test-");
  const fs::path path = folder.path() / "o.qcow2";
  write_text_atomically(path, "precious");
  CHECK_THROWS_WITH(create_overlay(path, MiB), Catch::Contains("o.qcow2") && Catch::Contains("File exists"));
  CHECK(read_text(path) == "precious");
}
