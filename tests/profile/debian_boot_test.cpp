// SPDX-License-Identifier: Apache-2.0
// Readiness that needs a guest with systemd behind it; each boot costs some 25 CPU-seconds under TCG.
#include "cachegen/profile/profile.hpp"
#include "tests/test_image.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using namespace std::chrono_literals;

TEST_CASE("the guest agent and the ssh banner show that a guest is up") {
  const auto image = test_image("debian");
  if (!image) return;
  const ImageInfo info = inspect_image(*image, Deadline::after(30s));
  for (const char* ready : {"agent", "ssh"}) {
    const BootRun run = boot_once(
        {.guest = {.accel = Accel::tcg}, .image = info, .ready = ReadySpec::parse(ready), .timeout = 600s},
        {});
    CHECK(run.ready > 1s);
    Bytes bytes = 0;
    for (const TimedRead& read : run.base_reads) bytes += read.bytes;
    CHECK(bytes > 30 * MiB);
  }
}
