// SPDX-License-Identifier: Apache-2.0
#include "cachegen/store/store.hpp"

#include "tests/cache/images.hpp"
#include "tests/eventually.hpp"

#include <atomic>

#include <catch2/catch.hpp>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vmi;
using namespace vmi::testing;
using namespace std::chrono_literals;

namespace {

/// A store, an image and a cache of it that builders copy, which takes no time.
struct StoreFixture {
  Fixture fixture{MiB};
  fs::path folder = fixture.folder.path() / "store";
  Store store{folder, {.heartbeat = 50ms, .stale = 60s, .poll = 5ms}};
  ImageInfo image = fixture.image();

  StoreFixture() { fixture.write(fixture.request({{0, 512 * KiB, 0}})); }

  CacheKey key(const std::string& append = "") const {
    return {.image = image, .parameters = {{"append", append}}};
  }
  Store::Builder copy() const {
    return [this](const fs::path& output) { fs::copy_file(fixture.cache_path, output); };
  }
  fs::path build(const std::string& append = "") { return store.find_or_build(key(append), copy(), soon()); }
  fs::path claim_of(const CacheKey& key) const { return folder / (key.hash() + ".claim"); }
  std::size_t names() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
  }
};

/// Counters that forked processes share with the test.
template <typename T>
T* shared() {
  void* memory = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  return new (memory) T();
}

/// Runs `work` in a process of its own; its exit status is 0 when it returned true.
template <typename Work>
pid_t in_process(const Work& work) {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid != 0) return pid;
  bool good = false;
  try {
    good = work();
  } catch (const std::exception& error) {
    fprintf(stderr, "%s\n", error.what());
  }
  _exit(good ? 0 : 1);
}

bool ended_well(pid_t pid) {
  int status = 0;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void age(const fs::path& path, std::chrono::seconds by) {
  fs::last_write_time(path, fs::last_write_time(path) - by);
}

}  // namespace

TEST_CASE("what was built is found, under its own key only") {
  StoreFixture f;
  CHECK_FALSE(f.store.find(f.key()));
  const fs::path built = f.build();
  CHECK(f.store.find(f.key()) == built);
  CHECK(CacheFile::open(built).base().image.url == f.image.url);
  CHECK_FALSE(f.store.find(f.key("quiet")));

  CacheKey changed = f.key();
  changed.image.mtime_ns = *changed.image.mtime_ns + 1;
  CHECK_FALSE(f.store.find(changed));
  changed = f.key();
  changed.image.backing_chain.emplace_back().url = "/another";
  CHECK_FALSE(f.store.find(changed));
  CHECK(f.names() == 2);  // the cache and its last use: no claim, no folder
}

TEST_CASE("the second request builds nothing") {
  StoreFixture f;
  const fs::path built = f.build();
  CHECK(f.store.find_or_build(
            f.key(), [](const fs::path&) { FAIL("built again"); }, soon()) == built);
}

TEST_CASE("of many processes at once exactly one builds, and all get the cache") {
  StoreFixture f;
  auto* builds = shared<std::atomic<int>>();
  auto* waiting = shared<std::atomic<int>>();
  std::vector<pid_t> pids;
  for (int i = 0; i < 8; ++i) {
    pids.push_back(in_process([&] {
      bool waits = false;
      bool all_came_by = true;
      const fs::path path = f.store.find_or_build(
          f.key(),
          [&](const fs::path& output) {
            ++*builds;
            all_came_by = eventually([&] { return *waiting == 7; });
            f.copy()(output);
          },
          soon(),
          [&](const std::string&) {
            if (!std::exchange(waits, true)) ++*waiting;
          });
      return all_came_by && CacheFile::open(path).sealed();
    }));
  }
  for (const pid_t pid : pids) CHECK(ended_well(pid));
  CHECK(*builds == 1);
  CHECK(f.names() == 2);
}

TEST_CASE("a waiter says whom it waits for, and gives up by its deadline") {
  StoreFixture f;
  auto* building = shared<std::atomic<bool>>();
  auto* stop = shared<std::atomic<bool>>();
  const pid_t builder = in_process([&] {
    f.store.find_or_build(
        f.key(),
        [&](const fs::path& output) {
          *building = true;
          if (eventually([&] { return stop->load(); })) f.copy()(output);
        },
        soon());
    return true;
  });
  REQUIRE(eventually([&] { return building->load(); }));
  std::string said;
  try {
    f.store.find_or_build(
        f.key(), [](const fs::path&) { FAIL("built a second time"); }, Deadline::after(50ms),
        [&](const std::string& text) { said = text; });
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.status() == ExitStatus::timed_out);
    CHECK_THAT(error.what(), Catch::Contains(":" + std::to_string(builder)) && Catch::Contains(f.image.url));
  }
  CHECK_THAT(said, Catch::Contains("waiting for") && Catch::Contains(":" + std::to_string(builder)));

  const std::vector<StoreEntry> entries = f.store.list();
  REQUIRE(entries.size() == 1);
  CHECK_THAT(entries[0].builder, Catch::EndsWith(":" + std::to_string(builder)));
  CHECK(f.store.gc(0).entries.empty());  // what is being built is left alone
  *stop = true;
  CHECK(ended_well(builder));
  CHECK(f.store.find(f.key()));
}

TEST_CASE("the progress callback of a waiter can end the wait") {
  StoreFixture f;
  fs::create_directories(f.claim_of(f.key()));
  CHECK_THROWS_WITH(
      f.store.find_or_build(f.key(), f.copy(), soon(),
                            [](const std::string&) { throw Error(ExitStatus::interrupted, "interrupted"); }),
      "interrupted");
}

TEST_CASE("a killed builder is followed by the next at once, and nothing of it stays") {
  StoreFixture f;
  auto* building = shared<std::atomic<bool>>();
  const pid_t builder = in_process([&] {
    f.store.find_or_build(
        f.key(),
        [&](const fs::path& output) {
          write_text_atomically(output, "half a cache");
          *building = true;
          pause();
        },
        soon());
    return true;
  });
  REQUIRE(eventually([&] { return building->load(); }));
  kill(builder, SIGKILL);
  waitpid(builder, nullptr, 0);
  CHECK_FALSE(f.store.find(f.key()));
  CHECK(CacheFile::open(f.build()).sealed());  // well within the 60 s after which a silent claim is stale
  f.store.gc(GiB);
  CHECK(f.names() == 2);
}

TEST_CASE("a silent builder on another host is given up after its time") {
  StoreFixture f;
  fs::create_directories(f.claim_of(f.key()));
  write_text_atomically(f.claim_of(f.key()) / "owner", "1 1 some-boot another-host\n");
  CHECK_THROWS_WITH(f.store.find_or_build(f.key(), f.copy(), Deadline::after(20ms)),
                    Catch::Contains("another-host:1"));
  age(f.claim_of(f.key()) / "owner", 61s);
  CHECK(fs::exists(f.build()));
}

TEST_CASE("a failed build is the builder's error, and the next may try") {
  StoreFixture f;
  CHECK_THROWS_WITH(
      f.store.find_or_build(
          f.key(), [](const fs::path&) { throw Error(ExitStatus::timed_out, "the guest was never ready"); },
          soon()),
      "the guest was never ready");
  CHECK(f.names() == 0);
  CHECK(fs::exists(f.build()));
}

TEST_CASE("a damaged cache counts as missing and is replaced") {
  StoreFixture f;
  const fs::path path = f.build();
  SECTION("damaged") {
    flip_byte(path, 100);
  }
  SECTION("cut short") {
    fs::resize_file(path, 10000);
  }
  SECTION("written by a QEMU") {
    tool({"qemu-io", "-f", "qcow2", "-c", "read 0 4k", path.string()});
  }
  CHECK_FALSE(f.store.find(f.key()));
  CHECK(f.build() == path);
  CHECK(f.store.find(f.key()) == path);
}

TEST_CASE("a discarded cache is built anew") {
  StoreFixture f;
  f.build();
  f.store.discard(f.key());
  CHECK_FALSE(f.store.find(f.key()));
  CHECK(f.names() == 0);
  f.store.discard(f.key());
}

TEST_CASE("eviction takes whole caches, least recently used first, down to the size given") {
  StoreFixture f;
  for (const char* name : {"a", "b", "c"}) {
    const fs::path path = f.build(name);
    age(path, 1h);
    fs::path used = path;
    age(used.replace_extension(".used"), 1h);
  }
  const Bytes one = fs::file_size(f.fixture.cache_path);
  // "a" was built first and used last.
  REQUIRE(f.store.find(f.key("a")));
  const std::vector<StoreEntry> before = f.store.list();
  REQUIRE(before.size() == 3);
  CHECK(before[0].key == f.key("a").hash());
  CHECK(before[0].image_url == f.image.url);
  CHECK(before[0].file_bytes == one);
  CHECK(before[0].cached_bytes == 512 * KiB);

  CHECK(f.store.gc(3 * one).entries.empty());
  const Store::Evicted evicted = f.store.gc(2 * one - 1);
  CHECK(evicted.entries.size() == 2);
  CHECK(evicted.bytes == 2 * one);
  CHECK(evicted.kept_bytes == one);
  CHECK(f.store.find(f.key("a")));
  CHECK_FALSE(f.store.find(f.key("b")));
  CHECK_FALSE(f.store.find(f.key("c")));
  CHECK(f.names() == 2);
}

TEST_CASE("who has a cache open goes on reading it after its eviction") {
  StoreFixture f;
  const CacheFile cache = CacheFile::open(f.build());
  CHECK(f.store.gc(0).entries.size() == 1);
  CHECK_FALSE(fs::exists(cache.path()));
  CHECK(cache.digest() == CacheFile::open(f.fixture.cache_path).digest());
  CHECK(cache.cached_bytes() == 512 * KiB);
}

TEST_CASE("readers and an evictor at once: a reader gets a sound cache or builds one") {
  StoreFixture f;
  auto* stop = shared<std::atomic<bool>>();
  std::vector<pid_t> readers;
  for (int i = 0; i < 3; ++i) {
    readers.push_back(in_process([&] {
      for (int round = 0; round < 60; ++round) {
        const fs::path path = f.store.find_or_build(f.key(), f.copy(), soon());
        try {
          CacheFile::open(path);
        } catch (const Error&) {
          if (fs::exists(path)) return false;  // evicted between the two is all that may happen
        }
      }
      return true;
    }));
  }
  const pid_t evictor = in_process([&] {
    return eventually([&] {
      f.store.gc(0);
      return stop->load();
    });
  });
  for (const pid_t reader : readers) CHECK(ended_well(reader));
  *stop = true;
  CHECK(ended_well(evictor));
}

TEST_CASE("a store that cannot be written is used all the same") {
  if (geteuid() == 0) {
    // Root writes to whatever it likes: the same as somebody else.
    StoreFixture f;
    const fs::path path = f.build();
    fs::permissions(f.fixture.folder.path(), fs::perms(0755));
    CHECK(ended_well(in_process([&] {
      if (setgid(65534) != 0 || setuid(65534) != 0) return false;
      return f.store.find(f.key()) == path && f.store.find_or_build(f.key(), {}, soon()) == path &&
             f.store.list().size() == 1;
    })));
    return;
  }
  StoreFixture f;
  const fs::path path = f.build();
  fs::permissions(f.folder, fs::perms(0555));
  CHECK(f.store.find_or_build(f.key(), {}, soon()) == path);
  fs::permissions(f.folder, fs::perms(0755));
}

TEST_CASE("the default store follows XDG_CACHE_HOME, then HOME") {
  const char* user_home = getenv("HOME");
  const std::string home = user_home != nullptr ? user_home : "";
  const char* before = getenv("XDG_CACHE_HOME");
  const std::optional<std::string> xdg =
      before != nullptr ? std::optional<std::string>(before) : std::nullopt;
  setenv("XDG_CACHE_HOME", "/x", 1);
  CHECK(Store::default_folder() == "/x/vmilaunch/store");
  unsetenv("XDG_CACHE_HOME");
  setenv("HOME", "/h", 1);
  CHECK(Store::default_folder() == "/h/.cache/vmilaunch/store");
  unsetenv("HOME");
  CHECK_THROWS_WITH(Store::default_folder(), Catch::Contains("--cache-dir"));
  setenv("HOME", home.c_str(), 1);
  if (xdg) setenv("XDG_CACHE_HOME", xdg->c_str(), 1);
}
