// SPDX-License-Identifier: Apache-2.0
#include "experiments/guest/replay_trace.hpp"

#include "cachegen/support/file.hpp"

#include <fstream>

#include <catch2/catch.hpp>

using namespace vmi;
using namespace vmi::replay;

namespace {

BootTraceRow row(const std::string& op, double submit, double complete, std::int64_t sector,
                 std::int64_t sectors = 8) {
  return {.run = 0,
          .t_submit = submit,
          .t_complete = complete,
          .op = op,
          .offset = sector * 512,
          .bytes = sectors * 512,
          .hit = kUnknownCount};
}

}  // namespace

TEST_CASE("a request comes its pause after what it may have waited for") {
  const Trace trace =
      convert({row("read", 0.1, 0.2, 0), row("read", 0.25, 0.3, 8), row("read", 0.26, 0.4, 16),
               row("read", 0.5, 0.6, 24), row("read", 1.5, 1.6, 32)},
              0, 1.0);
  REQUIRE(trace.header.steps == 4);  // the last one came after readiness
  REQUIRE(trace.steps.size() == 4);
  CHECK(trace.steps[0].after == 0);
  CHECK(trace.steps[0].think_us == 100'000);
  CHECK(trace.steps[1].after == 1);
  CHECK(trace.steps[1].think_us == 50'000);
  CHECK(trace.steps[2].after == 1);  // while the second was under way
  CHECK(trace.steps[2].think_us == 10'000);
  CHECK(trace.steps[3].after == 3);
  CHECK(trace.steps[3].think_us == 100'000);
  CHECK(trace.header.tail_us == 400'000);
}

TEST_CASE("requests that may be under way together have buffers apart, others share them") {
  const Trace trace = convert(
      {row("read", 0.1, 0.4, 0, 8), row("read", 0.2, 0.4, 8, 256), row("read", 0.5, 0.6, 16, 1)}, 0, 1);
  CHECK(trace.steps[1].buffer >= trace.steps[0].buffer + trace.steps[0].bytes);
  CHECK(trace.steps[2].buffer == 0);
  CHECK(trace.header.buffer_bytes == trace.steps[1].buffer + 256 * 512);
}

TEST_CASE("what overlaps a write waits for it, and no more are under way than the guest has room for") {
  const Trace conflict =
      convert({row("write", 0.1, 0.9, 0), row("read", 0.2, 0.3, 4), row("read", 0.25, 0.3, 100)}, 0, 1);
  CHECK(conflict.steps[1].after == 1);
  CHECK(conflict.steps[1].think_us == 0);
  std::vector<BootTraceRow> rows;
  for (int i = 0; i < 100; ++i) rows.push_back(row("read", 0.001 * i, 0.9, 8 * i));
  const Trace many = convert(rows, 0, 1);
  for (std::uint32_t i = 0; i < many.steps.size(); ++i)
    CHECK(i + 1 - many.steps[i].after <= REPLAY_MOST_IN_FLIGHT);
}

TEST_CASE("what cannot be replayed is refused by its reason") {
  CHECK_THROWS_WITH(convert({row("read", 0, 1, 0)}, 1, 1), Catch::Contains("run 1"));
  BootTraceRow odd = row("read", 0, 1, 0);
  odd.bytes = 100;
  CHECK_THROWS_WITH(convert({odd}, 0, 1), Catch::Contains("whole sectors"));
  CHECK_THROWS_WITH(convert({row("read", 0, 1, std::int64_t{1} << 33)}, 0, 1), Catch::Contains("2 TiB"));
  const TempFolder folder(temp_root(), "replay-test-");
  std::ofstream(folder.path() / "other") << "something else";
  CHECK_THROWS_WITH(read_trace(folder.path() / "other"), Catch::Contains("no replay trace"));
}

TEST_CASE("the expected checksum is of the image's bytes with the trace's own writes over them") {
  const TempFolder folder(temp_root(), "replay-test-");
  const fs::path image = folder.path() / "disk.raw";
  std::ofstream(image) << std::string(64 * 1024, 'a');
  const ImageInfo info = inspect_image(image, Deadline::after(std::chrono::seconds(30)));
  const std::vector<BootTraceRow> rows = {row("read", 0.1, 0.2, 0), row("write", 0.3, 0.4, 2, 1),
                                          row("read", 0.5, 0.6, 0)};
  const fs::path file = folder.path() / "trace";
  write_trace(file, convert(rows, 0, 1));
  const Expected with_write = expected(read_trace(file), info);
  CHECK(with_write.reads == 2);
  CHECK(with_write.writes == 1);
  CHECK(with_write.read_bytes == 2 * 8 * 512);

  std::vector<BootTraceRow> elsewhere = rows;
  elsewhere[1].offset = 100 * 512;
  const Expected without = expected(convert(elsewhere, 0, 1), info);
  CHECK(without.full != with_write.full);
  CHECK(without.sample != with_write.sample);

  std::ofstream(image) << std::string(4095, 'a') << 'b' << std::string(60 * 1024, 'a');
  CHECK(expected(convert(rows, 0, 1), info).full != with_write.full);
  CHECK_THROWS_WITH(expected(convert({row("read", 0, 1, 200)}, 0, 1), info),
                    Catch::Contains("another image"));
}
