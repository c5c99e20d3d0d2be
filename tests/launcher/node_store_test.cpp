// SPDX-License-Identifier: Apache-2.0
#include "launcher/node_store.hpp"

#include "cachegen/support/hash.hpp"

#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>

using namespace vmi;

namespace {

std::vector<std::byte> some_bytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 251);
  return bytes;
}

}  // namespace

TEST_CASE("a copy is held when its content is what its digest says") {
  const TempFolder folder(temp_root(), "node-store-test-");
  const NodeStore store(folder.path() / "node");
  const std::vector<std::byte> content = some_bytes(600'000);
  const fs::path original = folder.path() / "original";
  pwrite_all(open_file(original, O_RDWR | O_CREAT), content, 0, original);
  const std::string digest = digest_of(chunk_hashes(open_file(original, O_RDONLY), content.size()));

  CHECK_FALSE(store.holds(digest, content.size()));
  fs::rename(original, store.path_of(digest));
  CHECK(store.holds(digest, content.size()));
  CHECK(fs::exists(store.path_of(digest)));
}

TEST_CASE("a copy that was damaged is not held any more") {
  const TempFolder folder(temp_root(), "node-store-test-");
  const NodeStore store(folder.path());
  const std::vector<std::byte> content = some_bytes(1000);
  const fs::path path = store.path_of("0123");
  pwrite_all(open_file(path, O_RDWR | O_CREAT), content, 0, path);
  CHECK_FALSE(store.holds("0123", content.size()));
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("a node folder that cannot be made is named") {
  CHECK_THROWS_WITH(NodeStore("/proc/nothing"),
                    Catch::Contains("/proc/nothing") && Catch::Contains("--node-dir"));
}
