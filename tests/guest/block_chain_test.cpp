// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/block_chain.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using nlohmann::json;

namespace {

ChainSpec chain_with_cache() {
  return {.overlay = "/run/o.qcow2",
          .cache_path = "/run/c.vmic",
          .image_url = "/img/base.raw",
          .image_format = "raw"};
}

const json& node(const std::vector<json>& nodes, const std::string& name) {
  for (const json& candidate : nodes) {
    if (candidate["node-name"] == name) return candidate;
  }
  FAIL("no node '" << name << "'");
  throw std::logic_error("unreachable");
}

}  // namespace

TEST_CASE("without a cache the overlay reads from the base") {
  const auto nodes = blockdev_chain({.overlay = "/o", .image_url = "/b", .image_format = "qcow2"});
  CHECK(nodes.size() == 4);
  CHECK(nodes.back()["node-name"] == "overlay");
  CHECK(nodes.back()["backing"] == "base");
  CHECK(node(nodes, "base")["driver"] == "qcow2");
  CHECK_FALSE(node(nodes, "base").contains("backing"));  // the base's own backing chain is QEMU's to open
}

TEST_CASE("base and cache are read-only, and only the overlay ignores flushes") {
  const auto nodes = blockdev_chain(chain_with_cache());
  CHECK(nodes.size() == 6);
  for (const char* name : {"base", "base-file", "cache", "cache-file"}) {
    CHECK(node(nodes, name)["read-only"] == true);
    CHECK_FALSE(node(nodes, name).contains("cache"));
  }
  CHECK(node(nodes, "overlay")["backing"] == "cache");
  CHECK(node(nodes, "cache")["backing"] == "base");
  CHECK(node(nodes, "overlay-file")["cache"]["no-flush"] == true);
}

TEST_CASE("files of the node are read as asked, the base by threads") {
  ChainSpec chain = chain_with_cache();
  for (const json& item : blockdev_chain(chain)) CHECK_FALSE(item.contains("aio"));
  chain.aio = Aio::io_uring;
  const auto nodes = blockdev_chain(chain);
  CHECK(node(nodes, "overlay-file")["aio"] == "io_uring");
  CHECK(node(nodes, "cache-file")["aio"] == "io_uring");
  CHECK_FALSE(node(nodes, "base-file").contains("aio"));
}

TEST_CASE("a cache file that is not written is read from the page cache") {
  ChainSpec chain = chain_with_cache();
  chain.page_cache = true;
  const auto nodes = blockdev_chain(chain);
  CHECK(node(nodes, "cache")["file"] == "cache-pages");
  CHECK(node(nodes, "cache-pages")["driver"] == "vmipagecache");
  CHECK(node(nodes, "cache-pages")["file"] == "cache-file");
  CHECK(node(nodes, "cache-pages")["read-only"] == true);
  CHECK(node(nodes, "overlay")["file"] == "overlay-file");

  chain.cache_path = "nbd://storage/cache";
  CHECK(node(blockdev_chain(chain), "cache")["file"] == "cache-file");
  chain = chain_with_cache();
  chain.page_cache = true;
  chain.driver = Driver::vmicache;
  chain.cache_writable = true;
  chain.quota = MiB;
  CHECK(node(blockdev_chain(chain), "cache")["file"] == "cache-file");
}

TEST_CASE("io_uring is chosen where both QEMU and the kernel are known to have it") {
  const QemuFacts stock{.path = "/usr/bin/q", .version = "7.2"};
  const QemuFacts ours{.path = "/opt/q", .version = "7.2 (vmicache)", .has_vmicache = true};
  CHECK(resolve_aio(Aio::automatic, ours, "") == Aio::io_uring);
  CHECK(resolve_aio(Aio::automatic, ours, "the kernel refuses it") == Aio::threads);
  CHECK(resolve_aio(Aio::automatic, stock, "") == Aio::threads);
  CHECK(resolve_aio(Aio::io_uring, stock, "") == Aio::io_uring);
  CHECK(resolve_aio(Aio::threads, ours, "") == Aio::threads);
  CHECK_THROWS_WITH(resolve_aio(Aio::io_uring, ours, "the kernel refuses it"),
                    Catch::Contains("the kernel refuses it") && Catch::Contains("--aio threads"));
  CHECK(parse_name<Aio>("io_uring") == Aio::io_uring);
  CHECK_THROWS_WITH(parse_name<Aio>("native"), Catch::Contains("'native'") && Catch::Contains("threads"));
}

TEST_CASE("a cache may lie on a server") {
  ChainSpec chain = chain_with_cache();
  chain.cache_path = "nbd://storage:10810/c.vmic";
  chain.aio = Aio::io_uring;  // which is for files
  const auto nodes = blockdev_chain(chain);
  CHECK(node(nodes, "cache-file")["driver"] == "nbd");
  CHECK(node(nodes, "cache-file")["export"] == "c.vmic");
  CHECK(node(nodes, "cache-file")["read-only"] == true);
  CHECK_FALSE(node(nodes, "cache-file").contains("aio"));
  CHECK(node(nodes, "cache")["file"] == "cache-file");
}

TEST_CASE("every node stands behind the ones that it names") {
  std::vector<std::string> seen;
  for (const json& item : blockdev_chain(chain_with_cache())) {
    for (const char* key : {"file", "backing"}) {
      if (item.contains(key))
        CHECK(std::find(seen.begin(), seen.end(), item[key].get<std::string>()) != seen.end());
    }
    seen.push_back(item["node-name"]);
  }
}

TEST_CASE("copy on read fills a writable cache and leaves a read-only one alone") {
  ChainSpec chain = chain_with_cache();
  chain.driver = Driver::copy_on_read;
  CHECK(blockdev_chain(chain).back()["backing"] == "cache");
  chain.cache_writable = true;
  const auto nodes = blockdev_chain(chain);
  CHECK(nodes.back()["backing"] == "filter");
  CHECK(node(nodes, "filter")["driver"] == "copy-on-read");
  CHECK(node(nodes, "cache")["read-only"] == false);
}

TEST_CASE("image locks are switched off per layer") {
  ChainSpec chain = chain_with_cache();
  CHECK_FALSE(node(blockdev_chain(chain), "base-file").contains("locking"));
  chain.lock_base = false;
  CHECK(node(blockdev_chain(chain), "base-file")["locking"] == "off");
  CHECK_FALSE(node(blockdev_chain(chain), "cache-file").contains("locking"));
  chain.lock_cache = false;
  CHECK(node(blockdev_chain(chain), "cache-file")["locking"] == "off");
  CHECK_FALSE(node(blockdev_chain(chain), "overlay-file").contains("locking"));
}

TEST_CASE("an image given as a node object may bring its own format level") {
  const std::string url = R"(json:{"driver":"qcow2","file":{"driver":"file","filename":"/b"}})";
  const auto nodes = blockdev_chain({.overlay = "/o", .image_url = url, .image_format = "qcow2"});
  CHECK(nodes.size() == 3);
  CHECK(nodes.front()["node-name"] == "base");
  CHECK(nodes.front()["file"]["filename"] == "/b");
}

TEST_CASE("the cache-enabled driver stands above the cache and fills only a writable one") {
  ChainSpec chain = chain_with_cache();
  chain.driver = Driver::vmicache;
  chain.quota = 64 * MiB;
  auto nodes = blockdev_chain(chain);
  CHECK(nodes.back()["backing"] == "filter");
  CHECK(node(nodes, "filter")["file"] == "cache");
  CHECK(node(nodes, "filter")["fill"] == false);
  CHECK_FALSE(node(nodes, "filter").contains("quota"));
  CHECK_FALSE(node(nodes, "filter").contains("trace"));
  CHECK(node(nodes, "cache")["read-only"] == true);

  chain.cache_writable = true;
  chain.read_trace = "/run/t";
  nodes = blockdev_chain(chain);
  CHECK(node(nodes, "filter")["fill"] == true);
  CHECK(node(nodes, "filter")["quota"] == 64 * MiB);
  CHECK(node(nodes, "filter")["trace"] == "/run/t");
  CHECK(node(nodes, "cache")["read-only"] == false);
  CHECK(node(nodes, "cache-file")["cache"]["no-flush"] == true);
}

TEST_CASE("without a cache the cache-enabled driver counts what the base serves") {
  const auto nodes =
      blockdev_chain({.overlay = "/o", .image_url = "/b", .image_format = "raw", .driver = Driver::vmicache});
  CHECK(node(nodes, "filter")["file"] == "base");
  CHECK(node(nodes, "filter")["fill"] == false);
  CHECK(nodes.back()["backing"] == "filter");
}

TEST_CASE("the automatic driver is the best that this QEMU has") {
  const QemuFacts stock{.path = "/usr/bin/q", .version = "7.2"};
  const QemuFacts ours{.path = "/opt/q", .version = "7.2 (vmicache)", .has_vmicache = true};
  CHECK(resolve_driver(Driver::automatic, stock, false) == Driver::qcow2);
  CHECK(resolve_driver(Driver::automatic, stock, true) == Driver::copy_on_read);
  CHECK(resolve_driver(Driver::automatic, ours, true) == Driver::vmicache);
  CHECK(resolve_driver(Driver::qcow2, ours, false) == Driver::qcow2);
  CHECK_THROWS_WITH(resolve_driver(Driver::qcow2, ours, true), Catch::Contains("cannot fill"));
  CHECK_THROWS_WITH(resolve_driver(Driver::vmicache, stock, false),
                    Catch::Contains("/usr/bin/q") && Catch::Contains("7.2"));
}

TEST_CASE("locks work on an ordinary file, and a missing file is somebody else's error") {
  const TempFolder folder(temp_root(), "lock-test-");
  write_text_atomically(folder.path() / "f", "x");
  CHECK(can_lock(folder.path() / "f"));
  CHECK(can_lock(folder.path() / "missing"));
  CHECK(can_lock("nbd://host/x"));
}
