// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/chunk_sink.hpp"

#include "cachegen/support/hash.hpp"
#include "launcher/mpi/wait.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <zstd.h>

using namespace vmi;

namespace {

/// Three chunks, the middle one zeros, the last one short.
struct Fixture {
  TempFolder folder{temp_root(), "chunk-sink-test-"};
  std::vector<std::byte> content;
  Payload payload;
  std::unique_ptr<Target> target;

  Fixture() {
    content.assign(2 * kDigestChunk + 1000, std::byte{0});
    std::fill_n(content.begin(), kDigestChunk, std::byte{7});
    std::fill(content.begin() + 2 * kDigestChunk, content.end(), std::byte{9});
    payload.name = "a.vmic";
    payload.size = content.size();
    for (Bytes at = 0; at < content.size(); at += kDigestChunk) {
      payload.hashes.push_back(
          hash64(std::span(content).subspan(at, std::min(kDigestChunk, content.size() - at))));
    }
    payload.digest = digest_of(payload.hashes);
    target = std::make_unique<Target>(folder.path() / "new" / "target", payload);
  }

  Record record(std::uint32_t chunk) const {
    const auto data = std::span(content).subspan(payload.chunk_offset(chunk), payload.chunk_bytes(chunk));
    return make_record(chunk, std::string(reinterpret_cast<const char*>(data.data()), data.size()));
  }

  /// Gives the sink these records in bites of `bite` bytes; returns its failure, or "".
  std::string feed(const std::vector<Record>& records, std::size_t bite = 5000) {
    ChunkSink sink(payload, *target, "the first node");
    for (const Record& each : records) {
      std::span<const std::byte> rest(each);
      wait_until(
          [&] {
            rest = rest.subspan(sink.consume(rest.first(std::min(bite, rest.size()))));
            return rest.empty();
          },
          {Deadline::after(std::chrono::seconds(30))}, [] { return "room in the sink"; });
    }
    sink.close();
    wait_until([&] { return sink.finished(); }, {Deadline::after(std::chrono::seconds(30))},
               [] { return "the sink"; });
    const auto failure = sink.failure();
    if (!failure) CHECK(sink.done_bytes() == payload.size);
    return failure ? failure->what() : "";
  }

  std::string written() const { return read_text(target->path()); }
  std::string expected() const { return {reinterpret_cast<const char*>(content.data()), content.size()}; }
};

const Record kEnd = make_record(RecordHeader::kComplete);

}  // namespace

TEST_CASE("chunks are written where they belong, zeros without being sent") {
  Fixture f;
  const std::size_t bite = GENERATE(1000UL, 300000UL);
  CHECK(f.feed({f.record(0), f.record(2), kEnd}, bite).empty());
  CHECK(f.written() == f.expected());
}

TEST_CASE("every chunk has its turn, the metadata's in order and the others from places far apart") {
  const std::size_t chunks = GENERATE(0UL, 1UL, 35UL, 320UL, 347UL);
  const std::size_t metadata = GENERATE(0UL, 1UL, 3UL);
  Payload payload;
  payload.hashes.resize(chunks);
  payload.size = chunks * kDigestChunk;
  payload.metadata_bytes = std::min(payload.size, metadata * kDigestChunk);
  CAPTURE(chunks, metadata);
  std::vector<std::size_t> turns;
  for (std::size_t position = 0; position < chunks; ++position) turns.push_back(payload.chunk_at(position));
  for (std::size_t position = 0; position < std::min(metadata, chunks); ++position)
    CHECK(turns[position] == position);
  // Each quarter of the stream brings as much of the file's last quarter, a round of its eight places more or
  // less.
  for (std::size_t quarter = 0; chunks > 300 && quarter < 4; ++quarter) {
    const auto part = std::span(turns).subspan(quarter * chunks / 4, chunks / 4);
    const auto count =
        std::ranges::count_if(part, [&](std::size_t chunk) { return chunk * 4 >= chunks * 3; });
    CHECK(static_cast<double>(count) == Approx(static_cast<double>(chunks) / 16).margin(8));
  }
  std::ranges::sort(turns);
  for (std::size_t chunk = 0; chunk < chunks; ++chunk) CHECK(turns[chunk] == chunk);
}

TEST_CASE("bytes that are done are the metadata's first") {
  Fixture f;
  f.payload.metadata_bytes = 1;
  ChunkSink sink(f.payload, *f.target, "the first node");
  CHECK(sink.done_bytes() < 1);
  CHECK(sink.consume(f.record(0)) == f.record(0).size());
  wait_until([&] { return sink.done_bytes() == 2 * kDigestChunk; },
             {Deadline::after(std::chrono::seconds(30))},
             [] { return "the first chunk, and the zeros behind it"; });
}

TEST_CASE("a compressed chunk is recognised by its size") {
  Fixture f;
  std::string packed(ZSTD_compressBound(kDigestChunk), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), f.content.data(), kDigestChunk, 3));
  CHECK(f.feed({make_record(0, packed), f.record(2), kEnd}).empty());
  CHECK(f.written() == f.expected());
}

TEST_CASE("a damaged chunk is named") {
  Fixture f;
  Record damaged = f.record(2);
  damaged.back() ^= std::byte{1};
  CHECK_THAT(f.feed({f.record(0), damaged, kEnd}),
             Catch::Contains("chunk 2 (bytes 524288 to 525288) of 'a.vmic' arrived damaged"));
}

TEST_CASE("compressed garbage is a damaged chunk") {
  Fixture f;
  CHECK_THAT(f.feed({make_record(0, "no zstd frame"), f.record(2), kEnd}),
             Catch::Contains("chunk 0") && Catch::Contains("damaged"));
}

TEST_CASE("an impossible record does not make the sink stop taking data") {
  Fixture f;
  Record impossible = f.record(0);
  const RecordHeader header{0, 0x7fffffff};
  std::memcpy(impossible.data(), &header, sizeof header);
  CHECK_THAT(f.feed({impossible, f.record(2), kEnd}), Catch::Contains("garbled"));
}

TEST_CASE("missing chunks and missing ends are noticed") {
  Fixture f;
  SECTION("a chunk is left out") {
    CHECK_THAT(f.feed({f.record(0), kEnd}),
               Catch::Contains("chunk 2 of 'a.vmic'") || Catch::Contains("where chunk 2 was expected"));
  }
  SECTION("the stream ends early") {
    CHECK_THAT(f.feed({f.record(0), f.record(2)}), Catch::Contains("ended early"));
  }
}

TEST_CASE("the source's reason for giving up is passed on") {
  Fixture f;
  CHECK_THAT(f.feed({f.record(0), make_record(RecordHeader::kAbort, "the disk broke")}),
             Catch::Contains("the first node stopped sending: the disk broke"));
}

TEST_CASE("a target that is not published leaves nothing") {
  Fixture f;
  const fs::path path = f.target->path();
  CHECK(fs::file_size(path) == f.payload.size);
  SECTION("given up") {
    f.target.reset();
    CHECK_FALSE(fs::exists(path));
  }
  SECTION("published") {
    f.target->publish(f.folder.path() / "final");
    f.target.reset();
    CHECK_FALSE(fs::exists(path));
    CHECK(fs::exists(f.folder.path() / "final"));
  }
}

TEST_CASE("a target that exists already is refused, not overwritten") {
  Fixture f;
  CHECK_THROWS_WITH(Target(f.target->path(), f.payload),
                    Catch::Contains("cannot create") && Catch::Contains("File exists"));
}
