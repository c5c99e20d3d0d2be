// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/file.hpp"

#include "tests/eventually.hpp"

#include <atomic>
#include <fstream>
#include <optional>
#include <thread>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <unistd.h>

using namespace vmi;

TEST_CASE("a file that cannot be opened is named with the reason") {
  CHECK_THROWS_WITH(open_file("/no/such/file", O_RDONLY),
                    "cannot open '/no/such/file': No such file or directory");
}

TEST_CASE("an atomic write leaves the new text and no temporary file") {
  const TempFolder folder(temp_root(), "file-test-");
  const fs::path path = folder.path() / "a";
  write_text_atomically(path, "one");
  write_text_atomically(path, "two");
  CHECK(read_text(path) == "two");
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("a temporary folder goes with its owner") {
  fs::path path;
  {
    const TempFolder folder(temp_root(), "file-test-");
    path = folder.path();
    fs::create_directories(path / "a" / "b");
    CHECK(fs::exists(path));
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("a temporary folder goes although somebody is still writing in it") {
  std::optional<TempFolder> folder(std::in_place, temp_root(), "file-test-");
  const fs::path path = folder->path();
  fs::create_directories(path / "a" / "b");
  std::atomic<bool> writing = false;
  std::thread writer([&] {
    for (int i = 0; i < 2000; ++i) {
      std::ofstream(path / "a" / "b" / std::to_string(i)) << i;
      if (i % 3 == 0) unlink((path / "a" / "b" / std::to_string(i - 1)).c_str());
      writing = true;
    }
  });
  const bool begun = testing::eventually([&] { return writing.load(); });
  folder.reset();
  writer.join();
  CHECK(begun);
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("a read past the end names the file and the byte") {
  const TempFolder folder(temp_root(), "file-test-");
  const fs::path path = folder.path() / "short";
  write_text_atomically(path, "abc");
  std::byte buffer[8];
  CHECK_THROWS_WITH(pread_all(open_file(path, O_RDONLY), buffer, 0, path),
                    Catch::Contains("short") && Catch::Contains("byte 3"));
}
