// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/node_pool.hpp"

#include "cachegen/support/hash.hpp"
#include "cachegen/support/owner.hpp"

#include <chrono>
#include <csignal>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

void write_file(const fs::path& path, std::size_t size, int seed) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<std::byte>(i * 7 + i / 251 + static_cast<std::size_t>(seed));
  pwrite_all(open_file(path, O_RDWR | O_CREAT), bytes, 0, path);
}

/// A node folder, with files of 64 KiB to put into its pool.
struct Node {
  explicit Node(const fs::path& where = temp_root()) : folder(where, "node-pool-test-") {}
  TempFolder folder;
  fs::path dir = folder.path() / "node";
  static constexpr Bytes kSize = 64 * KiB;
  int files = 0;

  /// Keeps a new file; returns its digest.
  std::string keep(NodePool& pool, bool expected = true) {
    const fs::path file = folder.path() / "new";
    write_file(file, kSize, ++files);
    std::string digest = digest_of(chunk_hashes(open_file(file, O_RDONLY), kSize));
    CHECK(pool.keep(file, digest, [&](const fs::path& name) { fs::rename(file, name); }) == expected);
    CHECK(fs::exists(file) != expected);
    return digest;
  }

  /// Keeps one that was used `age` ago by a launch that has ended.
  std::string keep_old(std::chrono::seconds age) {
    NodePool pool(dir, 1 * GiB);
    std::string digest = keep(pool);
    pool.close();
    fs::last_write_time(pool.path_of(digest).string() + ".used", fs::file_time_type::clock::now() - age);
    return digest;
  }
};

}  // namespace

TEST_CASE("a copy is held when its content is what its digest says") {
  Node node;
  NodePool pool(node.dir, 1 * GiB);
  const std::string digest = node.keep(pool);
  CHECK(pool.holds(digest, Node::kSize));
  CHECK(fs::exists(pool.path_of(digest)));
  CHECK_FALSE(pool.holds(std::string(32, '0'), Node::kSize));
}

TEST_CASE("a copy in memory is read again only when it was written to") {
  Node node("/dev/shm");
  NodePool pool(node.dir, 1 * GiB);
  const std::string digest = node.keep(pool);
  const fs::path path = pool.path_of(digest);
  const Fd file = open_file(path, O_RDWR);
  // A store to memory that is mapped already leaves no trace in the file's times: it shows who reads the
  // file.
  void* const memory = mmap(nullptr, Node::kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  REQUIRE(memory != MAP_FAILED);
  volatile char* const byte = static_cast<char*>(memory) + 1000;
  const char before = *byte;
  *byte = static_cast<char>(before ^ 1);
  CHECK(pool.holds(digest, Node::kSize));
  SECTION("written to") {
    pwrite_all(file, std::vector<std::byte>(1), 2000, path);
  }
  SECTION("kept by a launch that made no such note") {
    pool.close();
    fs::resize_file(path.string() + ".used", 0);
  }
  munmap(memory, Node::kSize);
  CHECK_FALSE(pool.holds(digest, Node::kSize));
}

TEST_CASE("a copy that was damaged or cut off is not held any more") {
  Node node(GENERATE(fs::path("/dev/shm"), temp_root()));
  NodePool pool(node.dir, 1 * GiB);
  const std::string digest = node.keep(pool);
  const fs::path path = pool.path_of(digest);
  SECTION("damaged") {
    pwrite_all(open_file(path, O_RDWR), std::vector<std::byte>(1), 1000, path);
  }
  SECTION("cut off") {
    fs::resize_file(path, Node::kSize - 1);
  }
  SECTION("writable by others") {
    chmod(path.c_str(), 0666);
  }
  SECTION("a link to somewhere else") {
    fs::rename(path, node.folder.path() / "elsewhere");
    fs::create_symlink(node.folder.path() / "elsewhere", path);
  }
  CHECK_FALSE(pool.holds(digest, Node::kSize));
  CHECK_FALSE(fs::exists(fs::symlink_status(path)));
}

TEST_CASE("what is used least recently is evicted until the rest fits the budget") {
  Node node;
  const std::string oldest = node.keep_old(3h);
  const std::string newest = node.keep_old(1h);
  const std::string middle = node.keep_old(2h);

  NodePool pool(node.dir, 3 * Node::kSize);
  SECTION("for a new one") {
    const std::string incoming = node.keep(pool);
    CHECK_FALSE(pool.has(oldest));
    CHECK((pool.has(middle) && pool.has(newest) && pool.has(incoming)));
    CHECK_FALSE(fs::exists(pool.path_of(oldest).string() + ".used"));
  }
  SECTION("a use counts") {
    CHECK(pool.holds(oldest, Node::kSize));
    node.keep(pool);
    CHECK_FALSE(pool.has(middle));
    CHECK((pool.has(oldest) && pool.has(newest)));
  }
  SECTION("before it arrives") {
    CHECK(pool.room() >= free_bytes(pool.folder()));
    pool.make_room(2 * Node::kSize);
    CHECK((!pool.has(oldest) && !pool.has(middle) && pool.has(newest)));
  }
  SECTION("when the budget is less than it was") {
    NodePool(node.dir, Node::kSize).close();
    CHECK((!pool.has(oldest) && !pool.has(middle) && pool.has(newest)));
  }
  SECTION("but not for one that never fits") {
    pool.make_room(4 * Node::kSize);
    CHECK((pool.has(oldest) && pool.has(middle) && pool.has(newest)));
  }
}

TEST_CASE("the same cache again needs no room of its own") {
  Node node;
  NodePool pool(node.dir, Node::kSize);
  const std::string digest = node.keep(pool);
  node.files = 0;
  CHECK(node.keep(pool) == digest);
}

TEST_CASE("what a running launch uses is not evicted") {
  Node node;
  NodePool other(node.dir, 2 * Node::kSize);
  const std::string used = node.keep(other);

  NodePool pool(node.dir, Node::kSize);
  node.keep(pool, false);
  CHECK(pool.has(used));
  NodePool(node.dir, Bytes{0}).close();
  CHECK(pool.has(used));
  other.close();
  node.keep(pool);
  CHECK_FALSE(pool.has(used));
}

TEST_CASE("a launch that was killed uses nothing any more") {
  Node node;
  const std::string digest = node.keep_old(std::chrono::hours(1));
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    NodePool pool(node.dir, 1 * GiB);
    const char said = pool.holds(digest, Node::kSize) ? '1' : '0';
    if (write(ready[1], &said, 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char said = 0;
  REQUIRE(read(ready[0], &said, 1) == 1);
  CHECK(said == '1');
  NodePool pool(node.dir, Bytes{0});
  pool.close();
  CHECK(pool.has(digest));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  pool.close();
  CHECK_FALSE(pool.has(digest));
  close(ready[0]);
  close(ready[1]);
}

TEST_CASE("a filled cache is held while it is what it was when it was kept") {
  Node node;
  NodePool pool(node.dir, 1 * GiB);
  const std::string name = "filled-" + std::string(32, 'a');
  const fs::path file = node.folder.path() / "filling";
  write_file(file, 1000, 1);
  REQUIRE(pool.keep(file, name, [&](const fs::path& path) { fs::rename(file, path); }));
  pool.close();
  CHECK(pool.holds_filled(name));
  SECTION("damaged") {
    pwrite_all(open_file(pool.path_of(name), O_RDWR), std::vector<std::byte>(1), 999, file);
  }
  SECTION("not noted") {
    pool.close();
    fs::remove(pool.path_of(name).string() + ".used");
  }
  CHECK_FALSE(pool.holds_filled(name));
  CHECK_FALSE(pool.has(name));
}

TEST_CASE("notes of use that killed launches left are swept, and nothing that is no cache") {
  Node node;
  NodePool pool(node.dir, Bytes{0});
  const fs::path left = pool.path_of(std::string(32, 'b')).string() + ".used";
  write_file(left, 0, 0);
  write_file(pool.path_of("thesis.tex"), 1000, 0);
  write_file(pool.path_of("notes.used"), 1000, 0);
  pool.close();
  CHECK_FALSE(fs::exists(left));
  CHECK((pool.has("thesis.tex") && pool.has("notes.used")));
}

TEST_CASE("a node folder that cannot be made or trusted is named") {
  CHECK_THROWS_WITH(NodePool("/proc/nothing", {}),
                    Catch::Contains("/proc/nothing") && Catch::Contains("--node-dir"));
  const TempFolder folder(temp_root(), "node-pool-test-");
  SECTION("everybody may write") {
    chmod(folder.path().c_str(), 0777);
    CHECK_THROWS_WITH(NodePool(folder.path(), {}), Catch::Contains("everybody"));
  }
  SECTION("the group may write") {
    fs::create_directory(folder.path() / "cache");
    chmod((folder.path() / "cache").c_str(), 0770);
    CHECK_THROWS_WITH(NodePool(folder.path(), {}), Catch::Contains("others"));
  }
  SECTION("a link") {
    fs::create_directory(folder.path() / "elsewhere");
    fs::create_symlink(folder.path() / "elsewhere", folder.path() / "cache");
    CHECK_THROWS_WITH(NodePool(folder.path(), {}), Catch::Contains("not a folder"));
  }
  SECTION("somebody else's") {
    if (geteuid() != 0) return;  // the tests in Slurm run as an ordinary user too
    fs::create_directory(folder.path() / "cache");
    REQUIRE(chown((folder.path() / "cache").c_str(), 12345, 12345) == 0);
    CHECK_THROWS_WITH(NodePool(folder.path(), {}), Catch::Contains("user 12345"));
  }
}

TEST_CASE("the default budget is a part of the file system") {
  const Bytes budget = NodePool::default_budget(temp_root());
  CHECK(budget > 0);
  CHECK(budget <= 4 * GiB);
}
