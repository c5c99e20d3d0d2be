// SPDX-License-Identifier: Apache-2.0
#include "cachegen/build.hpp"
#include "cachegen/profile/trace_file.hpp"
#include "cachegen/support/process.hpp"
#include "cachegen/support/socket.hpp"
#include "tests/profile/boot_sector.hpp"
#include "tests/test_image.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

Bytes read_below(const BootRun& run) {
  Bytes bytes = 0;
  for (const TimedRead& read : run.base_reads) bytes += read.bytes;
  return bytes;
}

/// A build that takes a second: the boot sector is all that it reads.
BuildRequest quick(const fs::path& disk) {
  return {.image = disk, .guest = {.accel = Accel::tcg}, .ready = ReadySpec::parse("none"), .settle = 500ms};
}

/// Changes a byte of the file and leaves its modification time as it was.
void change_secretly(const fs::path& file, Bytes offset) {
  struct stat status {};
  REQUIRE(stat(file.c_str(), &status) == 0);
  {
    const Fd fd = open_file(file, O_RDWR | O_CLOEXEC);
    std::byte value{};
    pread_all(fd, {&value, 1}, offset, file);
    value ^= std::byte{1};
    pwrite_all(fd, {&value, 1}, offset, file);
  }
  const timespec times[2] = {status.st_atim, status.st_mtim};
  REQUIRE(utimensat(AT_FDCWD, file.c_str(), times, 0) == 0);
}

}  // namespace

TEST_CASE("a guest boots from its cache and leaves its base alone") {
  const auto image = test_image("tiny");
  if (!image) return;
  const TempFolder out(temp_root(), "build-test-");
  const fs::path cache = out.path() / "tiny.vmic";
  const fs::path trace = out.path() / "tiny.h5";
  const BuildRequest request{
      .image = *image, .guest = {.accel = Accel::tcg}, .settle = 500ms, .trace_out = trace};
  const BuildSummary summary = build_cache(request, cache);
  const Bytes working_set = summary.facts.at("working_set_bytes");
  CHECK(summary.cache.cached_bytes == summary.cache.wanted_bytes);
  CHECK(static_cast<double>(summary.cache.file_bytes) / static_cast<double>(working_set) <= 1.06);

  CHECK(run({"qemu-img", "check", cache}, Deadline::after(60s)).ok());
  CHECK(run({"qemu-img", "compare", "-U", cache, *image}, Deadline::after(60s)).ok());

  const std::vector<BootTraceRow> rows = read_boot_trace(trace);
  REQUIRE_FALSE(rows.empty());
  CHECK(rows.front().op == "read");
  CHECK(rows.front().offset == 0);
  CHECK(rows.front().t_complete >= rows.front().t_submit);
  CHECK(rows.front().image == image->string());
  const std::vector<BootRunRow> runs = read_boot_runs(trace);
  REQUIRE(runs.size() == 1);
  CHECK(runs.front().t_ready > rows.front().t_complete);

  const BootRun warm = boot_once({.guest = {.accel = Accel::tcg},
                                  .image = inspect_image(*image, Deadline::after(30s)),
                                  .cache = cache,
                                  .settle = 500ms},
                                 {});
  CHECK(read_below(warm) < working_set / 100);
}

TEST_CASE("what was built once is found again, and built anew when its base has changed") {
  const TempFolder folder(temp_root(), "build-test-");
  const EmptyTemp temp;
  const fs::path disk = boot_sector(folder.path(), kHang);
  BuildRequest request = quick(disk);
  request.store = folder.path() / "store";
  request.trace_out = folder.path() / "trace.h5";

  const FoundCache first = build_or_find(request);
  CHECK(first.built);
  CHECK(fs::exists(request.trace_out));
  const FoundCache second = build_or_find(request);
  CHECK_FALSE(second.built);
  CHECK(second.path == first.path);

  change_secretly(disk, 100);
  const FoundCache third = build_or_find(request);
  CHECK(third.built);
  CHECK(run({"qemu-img", "compare", "-U", third.path, disk}, Deadline::after(60s)).ok());

  request.guest.machine = Machine::q35;
  CHECK(build_or_find(request).built);  // another machine may read otherwise
  CHECK(temp.is_empty());
}

TEST_CASE("a build that ends early leaves the old cache and nothing else") {
  const TempFolder folder(temp_root(), "build-test-");
  const EmptyTemp temp;
  const fs::path output = folder.path() / "c.vmic";
  const BuildRequest request = quick(boot_sector(folder.path(), kHang));
  build_cache(request, output);
  const std::string old = read_text(output);
  for (const std::string stage : {"looking", "profile", "writing"}) {
    const auto stop = [&](const BuildStep& step) {
      if (step.text.starts_with(stage)) throw Error(ExitStatus::terminated, "terminated");
    };
    CHECK_THROWS_WITH(build_cache(request, output, stop), Catch::Contains("terminated"));
  }
  CHECK(read_text(output) == old);
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 2);  // the disk and the cache
  CHECK(temp.is_empty());
}

TEST_CASE("a quota that not even the metadata fits is refused before the image is booted") {
  const TempFolder folder(temp_root(), "build-test-");
  BuildRequest request = quick(boot_sector(folder.path(), kHang));
  request.quota = 8 * KiB;
  std::vector<std::string> stages;
  const auto note = [&](const BuildStep& step) { stages.push_back(step.text); };
  CHECK_THROWS_WITH(build_cache(request, folder.path() / "c", note), Catch::Contains("8 KiB is too small"));
  CHECK(stages.size() == 1);  // it looked at the image
}

TEST_CASE("an image that is served over NBD is profiled like a file") {
  const TempFolder folder(temp_root(), "build-test-");
  const fs::path disk = boot_sector(folder.path(), kHang);
  const fs::path socket = folder.path() / "nbd";
  const Child server = spawn({"nbdkit", "--foreground", "--unix", socket, "--readonly", "file", disk});
  connect_unix(socket, Deadline::after(30s));  // it listens now
  BuildRequest request = quick(disk);
  request.image = "nbd+unix:///?socket=" + socket.string();
  const fs::path output = folder.path() / "c.vmic";
  const BuildSummary summary = build_cache(request, output);
  CHECK(summary.cache.cached_bytes >= 4 * KiB);
  CHECK(run({"qemu-img", "check", output}, Deadline::after(60s)).ok());
}
