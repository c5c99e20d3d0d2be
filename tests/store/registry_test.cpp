// SPDX-License-Identifier: Apache-2.0
#include "cachegen/store/registry.hpp"

#include <chrono>
#include <fstream>

#include <catch2/catch.hpp>
#include <unistd.h>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

const std::string kCache(32, 'a');
const std::string kOther(32, 'b');

struct Store {
  TempFolder folder{temp_root(), "registry-test-"};
  Registry registry{folder.path()};

  fs::path of(const std::string& cache) const {
    return folder.path() / "nodes" / std::to_string(geteuid()) / cache;
  }
  /// As a launch on `node` does at its end.
  void note(const std::string& cache, const std::string& node, std::chrono::seconds ago = 0s) const {
    registry.describe(
        {.name = cache, .image = "/images/" + cache.substr(0, 1), .identity = "id", .bytes = 5});
    registry.add(cache, node, "/dev/shm/pool");
    fs::last_write_time(of(cache) / ("on-" + node), fs::file_time_type::clock::now() - ago);
  }
  std::vector<std::string> nodes(std::size_t place = 0) const {
    std::vector<std::string> names;
    const std::vector<CachePlaces> all = registry.list();
    for (const CachePlaces::Node& node : all.at(place).nodes) names.push_back(node.name);
    return names;
  }
};

}  // namespace

TEST_CASE("caches and nodes come last used first") {
  const Store store;
  CHECK(store.registry.list().empty());
  store.note(kCache, "n1", 3h);
  store.note(kOther, "n1", 2h);
  store.note(kCache, "n2", 4h);
  store.note(kOther, "n3", 1h);
  CHECK(store.registry.list().at(0).cache.name == kOther);
  CHECK(store.registry.list().at(0).cache.image == "/images/b");
  CHECK(store.registry.list().at(0).cache.bytes == 5);
  CHECK(store.nodes(0) == std::vector<std::string>{"n3", "n1"});
  CHECK(store.nodes(1) == std::vector<std::string>{"n1", "n2"});
}

TEST_CASE("what a node does not keep any more is forgotten, and no other node's") {
  const Store store;
  store.note(kCache, "n1");
  store.note(kOther, "n1");
  store.note(kCache, "n2");
  store.registry.correct("n1", "/dev/shm/pool", [](const std::string&) { return false; });
  REQUIRE(store.registry.list().size() == 1);
  CHECK(store.nodes() == std::vector<std::string>{"n2"});
  CHECK_FALSE(fs::exists(store.of(kOther)));
}

TEST_CASE("what another pool of the node keeps is forgotten when the node was booted since") {
  const Store store;
  store.note(kCache, "n1");
  const auto nothing = [](const std::string&) { return false; };
  store.registry.correct("n1", "/scratch/pool", nothing);
  CHECK(store.registry.list().size() == 1);
  write_text_atomically(store.of(kCache) / "on-n1", R"({"node_dir": "/dev/shm/pool", "boot_id": "before"})");
  store.registry.correct("n1", "/scratch/pool", nothing);
  CHECK(store.registry.list().empty());
}

TEST_CASE("names that could do harm in a command, and damaged files, are passed over") {
  const Store store;
  store.note(kCache, "n1");
  for (const char* name : {"on-n2;reboot", "on--x", "on-n3.tmp.4711"}) {
    const std::ofstream empty(store.of(kCache) / name);
  }
  std::ofstream(store.of(kCache) / "about") << "{ half";
  CHECK(store.nodes() == std::vector<std::string>{"n1"});
  CHECK(store.registry.list().at(0).cache.image.empty());
  CHECK_THROWS_WITH(store.registry.add(kCache, "a b", "/"), Catch::Contains("a b"));
}

TEST_CASE("a store that cannot be written is named") {
  const Registry registry("/proc/nothing");
  CHECK(registry.list().empty());
  CHECK_THROWS_WITH(registry.add(kCache, "n1", "/"), Catch::Contains("/proc/nothing"));
}

TEST_CASE("an image is another when it was written since") {
  ImageInfo image;
  image.url = "/images/a";
  image.mtime_ns = 1;
  const std::string before = image_identity(image);
  CHECK(before.size() == 32);
  image.mtime_ns = 2;
  CHECK(image_identity(image) != before);
}
