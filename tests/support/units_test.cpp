// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/units.hpp"

#include "cachegen/support/error.hpp"

#include <catch2/catch.hpp>

using namespace vmi;

TEST_CASE("sizes are parsed in powers of 1024 with the usual endings") {
  CHECK(parse_size("4096") == 4096);
  CHECK(parse_size("4K") == 4 * KiB);
  CHECK(parse_size("256M") == 256 * MiB);
  CHECK(parse_size("1.5g") == 1536 * MiB);
  CHECK(parse_size("2TiB") == 2 * TiB);
  CHECK(parse_size("12B") == 12);
}

TEST_CASE("what is not a size is refused and quoted") {
  for (const char* text : {"", "M", "12Q", "-5", "1K2", "4 K", "1e9", "99999999T"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_size(text), Error);
  }
  CHECK_THROWS_WITH(parse_size("12Q"), Catch::Contains("'12Q'"));
}

TEST_CASE("durations add up their parts") {
  using namespace std::chrono_literals;
  CHECK(parse_duration("90") == 90s);
  CHECK(parse_duration("500ms") == 500ms);
  CHECK(parse_duration("5m") == 5min);
  CHECK(parse_duration("1h30m") == 90min);
  CHECK(parse_duration("1.5s") == 1500ms);
  for (const char* text : {"", "s", "5x", "1m s", "-1s"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_duration(text), Error);
  }
}

TEST_CASE("sizes are shown with one decimal at the most") {
  CHECK(format_size(12) == "12 bytes");
  CHECK(format_size(4 * KiB) == "4 KiB");
  CHECK(format_size(1536 * KiB) == "1.5 MiB");
  CHECK(format_size(3 * TiB) == "3 TiB");
}
