// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/base_reader.hpp"

#include "tests/cache/images.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using namespace vmi::testing;

TEST_CASE("ranges come in the order asked for, with the image's bytes and zeros past its end") {
  const Fixture fixture(3 * MiB + 512);
  BaseReader reader(fixture.image());
  std::vector<ByteRange> ranges;
  std::mt19937_64 random(2);
  for (int i = 0; i < 200; ++i) ranges.push_back({random() % (3 * MiB), 1 + random() % 70000});
  ranges.push_back({3 * MiB, 4096});
  ranges.push_back({4 * MiB, 512});
  ranges.push_back({0, BaseReader::kMostRange});
  std::size_t next = 0;
  reader.read_all(ranges, [&](std::size_t index, std::span<const std::byte> bytes) {
    REQUIRE(index == next++);
    REQUIRE(bytes.size() == ranges[index].bytes);
    Content expected(bytes.size());
    for (Bytes i = 0; i < expected.size() && ranges[index].offset + i < fixture.content.size(); ++i)
      expected[i] = fixture.content[ranges[index].offset + i];
    REQUIRE(std::ranges::equal(bytes, expected));
    return true;
  });
  CHECK(next == ranges.size());
}

TEST_CASE("a reader that was stopped half-way goes on with the next request") {
  const Fixture fixture;
  BaseReader reader(fixture.image());
  const std::vector<ByteRange> ranges(100, ByteRange{0, 65536});
  int seen = 0;
  reader.read_all(ranges, [&](std::size_t, std::span<const std::byte>) { return ++seen < 5; });
  CHECK(seen == 5);
  Content bytes(3 * MiB);
  reader.read(100, bytes);
  CHECK(std::ranges::equal(bytes, std::span(fixture.content).subspan(100, 3 * MiB)));
}

TEST_CASE("a reader whose taker throws passes that on and is of no use afterwards") {
  const Fixture fixture;
  BaseReader reader(fixture.image());
  const std::vector<ByteRange> ranges(100, ByteRange{0, 65536});
  CHECK_THROWS_WITH(reader.read_all(ranges,
                                    [](std::size_t, std::span<const std::byte>) -> bool {
                                      throw Error(ExitStatus::interrupted, "enough");
                                    }),
                    "enough");
  std::byte byte[1];
  CHECK_THROWS_WITH(reader.read(0, byte), Catch::Contains("given up"));
}

TEST_CASE("what an image's metadata knows to be zero is found, within the ranges asked about") {
  const TempFolder folder(temp_root(), "reader-test-");
  const fs::path path = folder.path() / "x.qcow2";
  tool({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=64k", path.string(), "4194816"});
  tool({"qemu-io", "-f", "qcow2", "-c", "write -P 1 128k 64k", "-c", "write -z 192k 64k", "-c",
        "write -P 0 1M 64k", path.string()});
  BaseReader reader(inspect_image(path, soon()));
  const auto zeros = [&](std::vector<ByteRange> ranges) { return reader.zero_ranges(ranges); };
  CHECK(zeros({{0, 4 * MiB}}) ==
        std::vector<ByteRange>{{0, 128 * KiB}, {192 * KiB, 832 * KiB}, {1088 * KiB, 4 * MiB - 1088 * KiB}});
  CHECK(zeros({{64 * KiB, 80 * KiB}, {160 * KiB, 40 * KiB}}) ==
        std::vector<ByteRange>{{64 * KiB, 64 * KiB}, {192 * KiB, 8 * KiB}});
  CHECK(zeros({{4 * MiB, 4096}}) == std::vector<ByteRange>{{4 * MiB, 4096}});
  CHECK(zeros({{140 * KiB, 4096}}).empty());
  CHECK(zeros({}).empty());
}

TEST_CASE("an image that QEMU cannot open is refused in QEMU's words") {
  const Fixture fixture;
  ImageInfo image = fixture.image();
  image.format = "qcow2";
  CHECK_THROWS_WITH(BaseReader(image), Catch::Contains(image.url) && Catch::Contains("not in qcow2 format"));
  image = fixture.image();
  fs::remove(fixture.image_path);
  CHECK_THROWS_WITH(BaseReader(image), Catch::Contains("No such file"));
}

TEST_CASE("a base whose server has gone is an error that names it, within the time given") {
  const Fixture fixture;
  const fs::path socket = fixture.folder.path() / "s";
  Child server = serve({"qemu-nbd", "--read-only", "--persistent", "--shared=4", "-f", "raw", "-k",
                        socket.string(), fixture.image_path.string()},
                       socket);
  const std::string url = "nbd+unix:///?socket=" + socket.string();
  const ImageInfo image = inspect_image(url, soon());
  CHECK(image.format == "raw");
  CHECK_FALSE(image.local);
  BaseReader reader(image, std::chrono::seconds(1));
  std::byte byte[512];
  reader.read(0, byte);

  SECTION("it was stopped") {
    server.signal(SIGSTOP);
    try {
      reader.read(MiB, byte);
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.status() == ExitStatus::timed_out);
      CHECK_THAT(error.what(), Catch::Contains(url) && Catch::Contains("no answer"));
    }
  }
  SECTION("it was killed") {
    server.kill_and_reap();
    CHECK_THROWS_WITH(reader.read(MiB, byte), Catch::Contains(url));
  }
}

TEST_CASE("nothing is left of a reader: no process, no folder") {
  const Fixture fixture;
  setenv("TMPDIR", fixture.folder.path().c_str(), 1);
  const auto entries = [&] { return std::distance(fs::directory_iterator(fixture.folder.path()), {}); };
  const auto before = entries();
  {
    const BaseReader reader(fixture.image());
    CHECK(entries() == before + 1);
  }
  unsetenv("TMPDIR");
  CHECK(entries() == before);
  CHECK(run({"pgrep", "-P", std::to_string(getpid()), "qemu-nbd"}, soon()).out.empty());
}
