// SPDX-License-Identifier: Apache-2.0
#include "cachegen/profile/read_trace.hpp"

#include "cachegen/support/error.hpp"

#include <string_view>

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

class TraceBytes {
 public:
  TraceBytes& text(std::string_view text) {
    for (const char c : text) bytes_.push_back(std::byte(c));
    return *this;
  }
  TraceBytes& number(std::uint64_t value, int width) {
    for (int i = 0; i < width; ++i) bytes_.push_back(std::byte(value >> (8 * i) & 0xff));
    return *this;
  }
  TraceBytes& header(std::uint64_t version = 1) {
    text("VMITRACE").number(version, 4).number(40, 4).number(32, 4).number(0, 4);
    return number(5'000'000'000, 8).number(1'000'000'000, 8);
  }
  TraceBytes& record(std::uint64_t submit, std::uint64_t offset, std::uint64_t bytes, std::uint64_t flags) {
    return number(submit, 8).number(submit + 10, 8).number(offset, 8).number(bytes, 4).number(flags, 4);
  }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace

TEST_CASE("the driver's trace is understood however it is cut, and a torn last record is left alone") {
  TraceBytes trace;
  trace.header().record(1'000'007'000, 4096, 512, 1).record(1'000'009'000, 1ull << 40, 65536, 2).text("torn");
  for (std::size_t step = 1; step <= trace.bytes().size(); step += 7) {
    ReadTrace reader;
    for (std::size_t at = 0; at < trace.bytes().size(); at += step)
      reader.feed(trace.bytes().subspan(at, std::min(step, trace.bytes().size() - at)));
    REQUIRE(reader.extents().size() == 2);
    const auto& first = reader.extents()[0];
    CHECK(first.source == ReadTrace::Extent::Source::cache);
    CHECK(first.read.time_us == 4'000'000 + 1'000'007);  // on the wall clock
    CHECK(first.read.offset == 4096);
    CHECK(first.read.bytes == 512);
    const auto& second = reader.extents()[1];
    CHECK(second.source == ReadTrace::Extent::Source::base);
    CHECK(second.read.offset == 1ull << 40);
    CHECK(second.read.bytes == 65536);
  }
}

TEST_CASE("reads that failed are no part of a working set") {
  TraceBytes trace;
  trace.header().record(1, 0, 512, 2 | 16).record(2, 512, 512, 4);
  ReadTrace reader;
  reader.feed(trace.bytes());
  REQUIRE(reader.extents().size() == 1);
  CHECK(reader.extents()[0].read.offset == 512);
  CHECK(reader.extents()[0].source == ReadTrace::Extent::Source::neither);
}

TEST_CASE("a trace of another version is refused") {
  ReadTrace reader;
  CHECK_THROWS_WITH(reader.feed(TraceBytes().header(2).bytes()), Catch::Contains("same version"));
  ReadTrace other;
  CHECK_THROWS_AS(other.feed(TraceBytes().text(std::string(40, 'x')).bytes()), Error);
}
