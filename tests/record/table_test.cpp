// SPDX-License-Identifier: Apache-2.0
#include "cachegen/hdf5/table.hpp"

#include "cachegen/hdf5/boot_trace_table.hpp"
#include "cachegen/support/file.hpp"
#include "tests/record/same.hpp"

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

std::vector<BootTraceRow> some_rows(std::size_t count) {
  std::vector<BootTraceRow> rows;
  for (std::size_t i = 0; i < count; ++i) {
    rows.push_back({.run = 0,
                    .image = "/images/tiny.qcow2",
                    .t_submit = 0.001 * static_cast<double>(i),
                    .op = i % 7 == 0 ? "write" : "read",
                    .offset = static_cast<std::int64_t>(i) * 4096,
                    .bytes = 4096});
  }
  return rows;
}

/// A boot trace whose file has fewer columns.
struct Narrow {
  std::int64_t run = kUnknownCount;
};
const TableSchema<Narrow> kNarrow{"boot_trace", {{"run", "1", &Narrow::run}}};

}  // namespace

TEST_CASE("a table reads back as it was written, unknown values included") {
  const TempFolder folder(temp_root(), "h5-test-");
  const fs::path path = folder.path() / "t.h5";
  std::vector<BootTraceRow> rows = some_rows(5000);
  rows[17].image = "nbd+unix:///größe?socket=/tmp/ü";
  rows[18].image = "";
  {
    h5::File file = h5::File::create();
    h5::write_table<BootTraceRow>(file, boot_trace_schema(), rows);
    file.save(path);
  }
  CHECK(same(boot_trace_schema(), h5::read_table(h5::File::open(path), boot_trace_schema()), rows));
}

TEST_CASE("rows are appended to a table in several steps") {
  const TempFolder folder(temp_root(), "h5-test-");
  const fs::path path = folder.path() / "t.h5";
  const std::vector<BootTraceRow> rows = some_rows(3000);
  const std::span<const BootTraceRow> all(rows);
  h5::File file = h5::File::create();
  auto table = h5::Table<BootTraceRow>::create(file, boot_trace_schema(), all);
  table.append(all.first(1));
  table.append(all.subspan(1, 0));
  table.append(all.subspan(1));
  CHECK(table.rows() == 3000);
  file.save(path);
  CHECK(same(boot_trace_schema(), h5::read_table(h5::File::open(path), boot_trace_schema()), rows));
}

TEST_CASE("a text that is longer than its column is refused, not cut") {
  h5::File file = h5::File::create();
  auto table = h5::Table<BootTraceRow>::create(file, boot_trace_schema(), some_rows(1));
  const std::vector<BootTraceRow> wide{{.image = std::string(300, 'x')}};
  CHECK_THROWS_WITH(table.append(wide), Catch::Contains("'image'") && Catch::Contains("300"));
}

TEST_CASE("an empty table and texts of any length can be stored") {
  const TempFolder folder(temp_root(), "h5-test-");
  const std::vector<BootTraceRow> none;
  const std::vector<BootTraceRow> huge{{.image = std::string(200'000, 'x'), .op = "read"}};
  for (const auto& rows : {none, huge}) {
    h5::File file = h5::File::create();
    h5::write_table<BootTraceRow>(file, boot_trace_schema(), rows);
    file.save(folder.path() / "t.h5");
    CHECK(same(boot_trace_schema(),
               h5::read_table(h5::File::open(folder.path() / "t.h5"), boot_trace_schema()), rows));
  }
}

TEST_CASE("a file's root attributes read back, and one that is set again is replaced") {
  const TempFolder folder(temp_root(), "h5-test-");
  h5::File file = h5::File::create();
  file.set_attribute("text", std::string("first"));
  file.set_attribute("text", std::string("ünï\ncode"));
  file.set_attribute("count", std::int64_t{1} << 60);
  file.set_attribute("real", 0.1);
  file.save(folder.path() / "a.h5");
  const h5::File read = h5::File::open(folder.path() / "a.h5");
  CHECK(read.text_attribute("text") == "ünï\ncode");
  CHECK(read.integer_attribute("count") == std::int64_t{1} << 60);
  CHECK(read.real_attribute("real") == 0.1);
  CHECK_FALSE(read.text_attribute("missing"));
  CHECK_THROWS_WITH(read.text_attribute("count"),
                    Catch::Contains("'count'") && Catch::Contains("another type"));
}

TEST_CASE("a file that cannot be read as a table is named with the reason") {
  const TempFolder folder(temp_root(), "h5-test-");
  const fs::path path = folder.path() / "x.h5";
  CHECK_THROWS_WITH(h5::File::open(path), Catch::Contains("x.h5': No such file"));

  write_text_atomically(path, "this is no HDF5 file");
  CHECK_THROWS_WITH(h5::File::open(path), Catch::Contains("x.h5' is no readable HDF5 file"));

  h5::File::create().save(path);
  CHECK_THROWS_WITH(h5::read_table(h5::File::open(path), boot_trace_schema()),
                    Catch::Contains("x.h5' has no table 'boot_trace'"));

  h5::File file = h5::File::create();
  h5::write_table<Narrow>(file, kNarrow, std::vector<Narrow>(3));
  file.save(path);
  CHECK_THROWS_WITH(h5::read_table(h5::File::open(path), boot_trace_schema()),
                    Catch::Contains("no column 'image'"));
}

TEST_CASE("a truncated HDF5 file is an error at every length") {
  const TempFolder folder(temp_root(), "h5-test-");
  const fs::path path = folder.path() / "t.h5";
  h5::File file = h5::File::create();
  h5::write_table<BootTraceRow>(file, boot_trace_schema(), some_rows(100));
  file.save(path);
  for (auto size = fs::file_size(path); size > 0; size -= std::min<std::uintmax_t>(size, 97)) {
    fs::resize_file(path, size - 1);
    CHECK_THROWS_AS(h5::read_table(h5::File::open(path), boot_trace_schema()), Error);
  }
}
