// SPDX-License-Identifier: Apache-2.0
// Every rank acts as the leader of a node of its own.
#include "launcher/mpi/distribute.hpp"

#include "cachegen/support/hash.hpp"
#include "launcher/mpi/agree.hpp"
#include "tests/mpi/mpi_test.hpp"

#include <cstdio>
#include <cstring>
#include <random>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace vmi;
using namespace vmi::test;
using namespace std::chrono_literals;

namespace {

/// The same on every rank. Every fourth chunk is zeros, and half of each chunk compresses well.
std::string content_of(Bytes size) {
  std::mt19937_64 random(size);
  std::string content(size, '\0');
  for (Bytes at = 0; at < size; at += 8) {
    if (at / kDigestChunk % 4 == 2) continue;
    const std::uint64_t word = at / (kDigestChunk / 2) % 2 == 0 ? random() : 0x2020202020202020;
    std::memcpy(&content[at], &word, std::min<Bytes>(8, size - at));
  }
  return content;
}

struct Fixture {
  Comm comm = fresh_comm();
  int rank = comm.rank();
  bool alone = comm.size() == 1;
  TempFolder folder{temp_root(), "distribute-test-"};
  std::string content;
  std::optional<Outgoing> outgoing;
  TransferHooks hooks;
  DistributeOptions options;
  std::optional<Distribution> distribution;
  DistributeResult result;

  explicit Fixture(Bytes size = 3 * MiB + 77) : content(content_of(size)) {
    if (rank == 0) {
      outgoing.emplace();
      outgoing->path = folder.path() / "source";
      write_text_atomically(outgoing->path, content);
      outgoing->payload.name = "cache.vmic";
      outgoing->payload.size = size;
      outgoing->payload.metadata_bytes = size / 3;
      outgoing->payload.hashes = chunk_hashes(open_file(outgoing->path, O_RDONLY), size);
      outgoing->payload.digest = digest_of(outgoing->payload.hashes);
    } else {
      hooks.target = [this](const Payload&) { return folder.path() / "node" / "target"; };
    }
  }

  /// "" or what every rank throws.
  std::string offer() {
    return agreed("offering", [&] { distribution.emplace(comm, outgoing, hooks, options, waiter()); });
  }
  std::string run() {
    return agreed("distributing", [&] {
      distribution->find_places(waiter());
      result = distribution->run(waiter());
    });
  }
  std::string agreed(const char* stage, const std::function<void()>& work) {
    const auto mine = attempt(work);
    const auto all = attempt([&] { agree(comm, mine, waiter(), stage); });
    return all ? all->what() : "";
  }
  std::string received() const { return read_text(distribution->file()); }
};

}  // namespace

TEST_CASE("every node gets the file's content") {
  const Scheme scheme = GENERATE(Scheme::chain, Scheme::two_trees);
  const Compression compression = GENERATE(Compression::off, Compression::on, Compression::automatic);
  const Bytes size = GENERATE(Bytes{1}, kDigestChunk, kDigestChunk + 1, 3 * MiB + 77);
  Fixture f(size);
  f.options = {scheme, compression, 20 * KiB, 2};
  REQUIRE(f.offer().empty());
  REQUIRE(f.run().empty());
  CHECK(f.received() == f.content);
  CHECK(to_text(f.result.source) == (f.rank == 0 ? "origin" : "received"));
  CHECK(f.result.payload_bytes == size);
  CHECK(f.result.first_ns <= f.result.last_ns);
  if (!f.alone && size > MiB) {
    // Zero chunks never travel, and compression halves the rest.
    const auto least = size / (compression == Compression::off ? 2 : 4);
    const auto most = compression == Compression::on ? size / 2 : size - 3 * kDigestChunk + MiB / 10;
    CHECK(f.result.wire_bytes > least);
    CHECK(f.result.wire_bytes < most);
  }
}

TEST_CASE("an empty file is a file too") {
  Fixture f(0);
  REQUIRE(f.offer().empty());
  REQUIRE(f.run().empty());
  CHECK(f.received().empty());
}

TEST_CASE("small windows and odd piece sizes only cost time") {
  Fixture f;
  f.options = {GENERATE(Scheme::chain, Scheme::two_trees), Compression::off, 4097, 1};
  REQUIRE(f.offer().empty());
  REQUIRE(f.run().empty());
  CHECK(f.received() == f.content);
}

TEST_CASE("a node that holds the file receives nothing, and the others get it nevertheless") {
  Fixture f;
  const bool holds = f.rank % 2 == 1;
  const fs::path there = f.folder.path() / "held";
  f.hooks.held = [&](const Payload& payload) -> std::optional<fs::path> {
    CHECK(payload.digest.size() == 32);
    return holds ? std::optional(there) : std::nullopt;
  };
  bool metadata_ready = false;
  f.hooks.on_metadata_ready = [&] { metadata_ready = true; };
  REQUIRE(f.offer().empty());
  REQUIRE(f.run().empty());
  CHECK(metadata_ready);
  if (holds) {
    CHECK(to_text(f.result.source) == "held");
    CHECK(f.result.wire_bytes == 0);
    CHECK(f.distribution->file() == there);
  } else {
    CHECK(f.received() == f.content);
  }
}

TEST_CASE("a node without a use for the file receives nothing, and the others get it nevertheless") {
  Fixture f;
  const bool wants = f.rank % 2 == 0;
  bool opened = false;
  if (!wants) f.hooks = {.target = [](const Payload&) { return fs::path(); }};
  f.hooks.on_metadata_ready = [&] { opened = true; };
  REQUIRE(f.offer().empty());
  REQUIRE(f.run().empty());
  CHECK(opened == wants);
  if (wants) {
    CHECK(f.received() == f.content);
  } else {
    CHECK(to_text(f.result.source) == "none");
    CHECK(f.result.wire_bytes == 0);
    CHECK(f.result.payload_bytes == 0);
    CHECK(f.distribution->file().empty());
  }
}

TEST_CASE("several files go each to the nodes that want it, though no node runs those of others") {
  const Bytes sizes[] = {3 * MiB + 77, 2 * MiB, kDigestChunk + 1};
  const int ranks = session().ranks();
  std::vector<std::unique_ptr<Fixture>> files;
  for (const Bytes size : sizes) files.push_back(std::make_unique<Fixture>(size));
  const auto wanted = [&](std::size_t file, int rank) {
    return rank % static_cast<int>(files.size()) == static_cast<int>(file);
  };
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (files[i]->rank > 0 && !wanted(i, files[i]->rank))
      files[i]->hooks = {.target = [](const Payload&) { return fs::path(); }};
    REQUIRE(files[i]->offer().empty());
  }
  for (const auto& file : files) file->distribution->find_places(waiter());
  Bytes wire = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    Fixture& f = *files[i];
    if (f.rank > 0 && !wanted(i, f.rank)) continue;
    f.result = f.distribution->run(waiter());
    CHECK(f.received() == f.content);
    if (f.rank > 0) wire += f.result.wire_bytes;
  }
  const int rank = files[0]->rank;
  if (rank > 0) CHECK(wire < sizes[rank % 3] + 64 * KiB);
  barrier(files[0]->comm, waiter(), "all " + std::to_string(ranks) + " ranks to have their files");
}

TEST_CASE("nothing moves when every node holds the file") {
  Fixture f;
  f.hooks.held = [&](const Payload&) { return std::optional<fs::path>("/held"); };
  REQUIRE(f.offer().empty());
  REQUIRE(f.run().empty());
  CHECK(f.result.wire_bytes == 0);
}

TEST_CASE("the first node copies the file when it is told a target") {
  Fixture f;
  if (f.rank == 0) f.hooks.target = [&](const Payload&) { return f.folder.path() / "copy"; };
  REQUIRE(f.offer().empty());
  REQUIRE(f.run().empty());
  CHECK(f.received() == f.content);
  if (f.rank == 0) CHECK(to_text(f.result.source) == "copied");
  f.distribution->publish(f.folder.path() / "final");
  f.distribution.reset();
  CHECK(read_text(f.folder.path() / "final") == f.content);
}

TEST_CASE("the file can be opened once its metadata is there") {
  Fixture f;
  int calls = 0;
  Bytes last = 0;
  f.hooks.on_metadata_ready = [&] {
    ++calls;
    const std::string now = f.received();
    CHECK(now.size() == f.content.size());
    CHECK(now.compare(0, f.content.size() / 3, f.content, 0, f.content.size() / 3) == 0);
  };
  f.hooks.on_progress = [&](Bytes done, Bytes total) {
    CHECK(done > last);
    CHECK(total == f.content.size());
    last = done;
  };
  REQUIRE(f.offer().empty());
  REQUIRE(f.run().empty());
  CHECK(calls == 1);
  CHECK(last == f.content.size());
}

TEST_CASE("an unpublished file goes with the distribution") {
  Fixture f;
  REQUIRE(f.offer().empty());
  const fs::path file = f.distribution->file();
  CHECK(fs::exists(file));
  f.distribution.reset();
  CHECK(fs::exists(file) == (f.rank == 0));
}

TEST_CASE("a source that is not what was announced stops all nodes by name") {
  Fixture f;
  if (f.rank == 0) {
    const Fd file = open_file(f.outgoing->path, O_WRONLY);
    const std::byte wrong{1};
    pwrite_all(file, {&wrong, 1}, kDigestChunk + 5, f.outgoing->path);
    f.hooks.target = [&](const Payload&) { return f.folder.path() / "copy"; };
  }
  REQUIRE(f.offer().empty());
  CHECK_THAT(f.run(), Catch::Contains("chunk 1 (bytes 262144 to 524288) of 'cache.vmic'") &&
                          Catch::Contains("damaged or is being changed"));
}

TEST_CASE("a description that contradicts itself is refused everywhere") {
  Fixture f;
  if (f.rank == 0) f.outgoing->payload.hashes[1] ^= 1;
  CHECK_THAT(f.offer(), Catch::Contains("'cache.vmic' does not match its own description"));
}

TEST_CASE("a chunk that is damaged on its way is named with its node, and the other nodes get theirs") {
  Fixture f;
  if (f.alone) return;
  REQUIRE(f.offer().empty());
  // As if chunk 4 came with other content on rank 1: it expects another hash than was sent.
  if (f.rank == 1) const_cast<Payload&>(f.distribution->payload()).hashes[4] ^= 1;
  CHECK_THAT(f.run(), Catch::StartsWith("rank 1 on " + host_name() +
                                        ": distributing: chunk 4 (bytes 1048576 to 1310720) of "
                                        "'cache.vmic' arrived damaged"));
  if (f.rank > 1) CHECK(f.received() == f.content);
}

TEST_CASE("a node whose disk fails in the middle goes on forwarding and says what failed") {
  Fixture f;
  if (f.alone) return;
  REQUIRE(f.offer().empty());
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, SIG_IGN);
  const rlimit small{MiB, before.rlim_max};
  if (f.rank == 1) setrlimit(RLIMIT_FSIZE, &small);
  const std::string failure = f.run();
  setrlimit(RLIMIT_FSIZE, &before);
  CHECK_THAT(failure, Catch::StartsWith("rank 1 on") && Catch::Contains("cannot write") &&
                          Catch::Contains("File too large") && Catch::Contains("--node-dir"));
  if (f.rank > 1) CHECK(f.received() == f.content);
}

TEST_CASE("a limit on file sizes is found before data moves") {
  Fixture f;
  if (f.alone) return;
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{MiB, before.rlim_max};
  if (f.rank == 1) setrlimit(RLIMIT_FSIZE, &small);
  const std::string failure = f.offer();
  setrlimit(RLIMIT_FSIZE, &before);
  CHECK_THAT(failure, Catch::StartsWith("rank 1 on") && Catch::Contains("ulimit -f"));
}

TEST_CASE("a full disk is found before data moves, and named with the space and the remedy") {
  const char* small_disk = std::getenv("VMI_SMALL_DISK");
  if (small_disk == nullptr) return;  // the test mpi_small_disk_test sets it
  Fixture f;
  if (f.rank == 1) f.hooks.target = [&](const Payload&) { return fs::path(small_disk) / "target"; };
  CHECK_THAT(f.offer(), Catch::StartsWith("rank 1 on " + host_name()) &&
                            Catch::Contains("not enough space in '" + std::string(small_disk) + "'") &&
                            Catch::Contains("2.3 MiB needed, 1 MiB available") &&
                            Catch::Contains("--node-dir"));
  CHECK(fs::is_empty(small_disk));
}

TEST_CASE("a node that does not come is named when the deadline passes") {
  Fixture f;
  if (f.alone) return;
  REQUIRE(f.offer().empty());
  f.distribution->find_places(waiter());
  if (f.rank == 0) {
    CHECK_THROWS_WITH(
        f.distribution->run({Deadline::after(300ms)}),
        Catch::Contains("timed out distributing 'cache.vmic'") && Catch::Contains("to take data"));
  }
  // Nobody leaves (and frees what MPI might still touch) before rank 0 has seen it.
  barrier(aftermath(), waiter(), "rank 0 to give up");
}

// Run by dying_rank, which looks at what becomes of the other ranks.
TEST_CASE("a rank dies while it receives", "[.dies]") {
  Fixture f(64 * MiB);
  f.hooks.on_progress = [&](Bytes done, Bytes) {
    if (f.rank == 1 && done > MiB) raise(SIGKILL);
  };
  REQUIRE(f.offer().empty());
  f.distribution->find_places(waiter());
  const auto failure = attempt([&] { f.distribution->run({Deadline::after(3s)}); });
  std::printf("survivor %d: %s\n", f.rank, failure ? failure->what() : "no failure");
  std::fflush(stdout);
  f.folder.remove();
  _exit(124);  // there is nobody to leave MPI with
}
