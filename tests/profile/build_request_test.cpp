// SPDX-License-Identifier: Apache-2.0
#include "cachegen/build.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using namespace std::chrono_literals;

TEST_CASE("a build request goes through JSON unharmed") {
  const BuildRequest request{.image = "nbd+unix:///x?socket=/s",
                             .guest = {.accel = Accel::tcg, .memory = 1 * GiB, .net = Net::user},
                             .ready = ReadySpec::parse("serial:^up$"),
                             .quota = 64 * MiB,
                             .runs = 3,
                             .granularity = 512,
                             .timeout = 90s,
                             .settle = 1500ms,
                             .trace_out = "/t.h5",
                             .store = "/store"};
  CHECK(to_json(build_request_from_json(to_json(request))) == to_json(request));
}

TEST_CASE("what a build request leaves out takes its default") {
  CHECK(to_json(build_request_from_json({{"image", "x"}})) == to_json(BuildRequest{.image = "x"}));
}

TEST_CASE("a damaged build request is refused") {
  CHECK_THROWS_WITH(build_request_from_json({{"quota", 1}}), Catch::Contains("image"));
  CHECK_THROWS_AS(build_request_from_json({{"image", "x"}, {"quota", "much"}}), Error);
  CHECK_THROWS_AS(build_request_from_json({{"image", "x"}, {"ready", "perhaps"}}), Error);
}

TEST_CASE("builds that make no sense are usage errors") {
  CHECK_NOTHROW(check_build({.image = "x"}));
  for (const Bytes granularity : {Bytes{0}, Bytes{256}, Bytes{3000}, 4 * MiB}) {
    CHECK_THROWS_WITH(check_build({.image = "x", .granularity = granularity}),
                      Catch::Contains("powers of two"));
  }
  CHECK_THROWS_WITH(check_build({.image = "x", .runs = 0}), Catch::Contains("at least 1 run"));
  CHECK_THROWS_AS(check_build({.image = "x", .timeout = 0s}), Error);
  CHECK_THROWS_AS(check_build({.image = "x", .settle = -1s}), Error);
  CHECK_THROWS_AS(check_build({.image = "x", .guest = {.initrd = "/etc/passwd"}}), Error);
}

TEST_CASE("an output that cannot be written is refused before anything boots") {
  const TempFolder folder(temp_root(), "build-test-");
  const fs::path other = folder.path() / "letter.txt";
  write_text_atomically(other, "dear reader");
  const BuildRequest request{.image = "/no/such/image"};
  CHECK_THROWS_WITH(build_cache(request, other), Catch::Contains("no boot cache"));
  CHECK_THROWS_WITH(build_cache(request, folder.path()), Catch::Contains("is a folder"));
  CHECK_THROWS_WITH(build_cache(request, folder.path() / "missing" / "c"), Catch::Contains("No such file"));
  CHECK(read_text(other) == "dear reader");
  CHECK_THROWS_WITH(build_cache(request, folder.path() / "c"), Catch::Contains("/no/such/image"));
}
