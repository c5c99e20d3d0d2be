// SPDX-License-Identifier: Apache-2.0
#include "cachegen/profile/profile.hpp"
#include "cachegen/support/log.hpp"
#include "cachegen/support/process.hpp"
#include "tests/profile/boot_sector.hpp"
#include "tests/test_image.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include <catch2/catch.hpp>
#include <unistd.h>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

ProfileOptions options_for(const fs::path& image) {
  return {.image = inspect_image(image, Deadline::after(30s)),
          .guest = {.accel = Accel::tcg},
          .ready = ReadySpec::parse("serial:login: "),
          .timeout = 300s,
          .settle = 500ms};
}

/// The default-sized blocks that the working set consists of.
std::set<Bytes> blocks(const WorkingSet& set) {
  std::set<Bytes> all;
  for (const WorkingExtent& extent : set.extents) {
    for (Bytes at = extent.offset; at < extent.offset + extent.bytes; at += kDefaultGranularity)
      all.insert(at);
  }
  return all;
}

Error error_of(const ProfileOptions& options, const ProfileProgress& progress = {}) {
  try {
    profile_boot(options, progress);
  } catch (const Error& error) {
    return error;
  }
  return {ExitStatus::ok, "no error"};
}

}  // namespace

TEST_CASE("the working set holds what firmware and boot loader read, and two profiles of one image agree") {
  const auto image = test_image("tiny");
  if (!image) return;
  const EmptyTemp temp;
  const ProfileOptions options = options_for(*image);
  const BootProfile first = profile_boot(options);
  const BootProfile second = profile_boot(options);

  const WorkingSet& set = first.working_set;
  REQUIRE_FALSE(set.extents.empty());
  CHECK(set.extents.front().offset == 0);  // the boot sector, read first of all
  CHECK(set.bytes > 20 * MiB);
  CHECK(set.bytes < 100 * MiB);
  const auto& requests = first.runs.front().requests;
  REQUIRE_FALSE(requests.empty());
  CHECK(requests.front().offset == 0);
  CHECK(requests.front().bytes == 512);
  CHECK(std::is_sorted(requests.begin(), requests.end(),
                       [](const auto& a, const auto& b) { return a.submit_us < b.submit_us; }));
  CHECK(first.runs.front().ready.count() > 0);

  const double ratio = static_cast<double>(set.bytes) / static_cast<double>(second.working_set.bytes);
  CHECK(ratio == Approx(1.0).margin(0.001));
  CHECK(temp.is_empty());
}

TEST_CASE("the driver's trace and QEMU's own give the same working set") {
  const auto image = test_image("tiny");
  const auto qemu = test_qemu();
  if (!image || !qemu) return;
  const EmptyTemp temp;
  ProfileOptions options = options_for(*image);
  options.guest.qemu = *qemu;
  const BootProfile by_driver = profile_boot(options);
  options.driver = Driver::qcow2;
  const BootProfile by_qemu = profile_boot(options);
  CHECK(by_driver.qemu.has_vmicache);

  const std::set<Bytes> one = blocks(by_driver.working_set);
  const std::set<Bytes> other = blocks(by_qemu.working_set);
  std::vector<Bytes> different;
  std::ranges::set_symmetric_difference(one, other, std::back_inserter(different));
  // As much as two boots differ by themselves.
  CHECK(different.size() <= one.size() / 500);
  CHECK(one.size() * kDefaultGranularity == by_driver.working_set.bytes);
  CHECK(by_driver.runs.front().requests.front().offset ==
        0);  // the guest's own requests are traced as before
  CHECK(temp.is_empty());
}

TEST_CASE("a guest that is never ready is reported with the end of its console") {
  const TempFolder disks(temp_root(), "vmi-disks-");
  const EmptyTemp temp;
  ProfileOptions options = options_for(boot_sector(disks.path(), kSayR));
  options.ready = ReadySpec::parse("serial:never");
  options.timeout = 3s;
  const Error error = error_of(options);
  CHECK(error.status() == ExitStatus::timed_out);
  CHECK_THAT(error.what(), Catch::Contains("serial:never") && Catch::Contains("within 3") &&
                               Catch::Contains("console:\nR"));
  CHECK(temp.is_empty());
}

TEST_CASE("a QEMU that dies is reported with what it printed") {
  const TempFolder disks(temp_root(), "vmi-disks-");
  const EmptyTemp temp;
  ProfileOptions options = options_for(boot_sector(disks.path(), kHang));
  options.guest.cpus = 300;
  const Error error = error_of(options);
  CHECK(error.status() == ExitStatus::environment);
  CHECK_THAT(error.what(), Catch::Contains("exit status 1") && Catch::Contains("300"));
  CHECK(temp.is_empty());
}

TEST_CASE("a CPU that this node cannot give is refused before the boot, with what it lacks") {
  const TempFolder disks(temp_root(), "vmi-disks-");
  const EmptyTemp temp;
  ProfileOptions options = options_for(boot_sector(disks.path(), kHang));
  options.guest.cpu_model = "Skylake-Server";  // QEMU 7.2's TCG knows no AVX-512
  const Error error = error_of(options, [](int, const BootStatus&) { FAIL_CHECK("it boots"); });
  CHECK(error.status() == ExitStatus::environment);
  CHECK_THAT(error.what(),
             Catch::Contains("'Skylake-Server'") && Catch::Contains("lacks") && Catch::Contains("avx512f"));
  options.guest.cpu_model = "no-such-cpu";
  CHECK_THAT(error_of(options).what(), Catch::Contains("unable to find CPU model 'no-such-cpu'"));
}

TEST_CASE("a QEMU that is killed in the middle of a boot is reported") {
  const TempFolder disks(temp_root(), "vmi-disks-");
  const EmptyTemp temp;
  ProfileOptions options = options_for(boot_sector(disks.path(), kHang));
  const Error error = error_of(options, [&](int, const BootStatus& status) {
    if (status.stage != BootStatus::Stage::booting) return;
    // The only child of this process is QEMU.
    std::ifstream children("/proc/self/task/" + std::to_string(getpid()) + "/children");
    int pid = 0;
    if (children >> pid) kill(pid, SIGKILL);
  });
  CHECK(error.status() == ExitStatus::environment);
  CHECK_THAT(error.what(), Catch::Contains("killed by signal 9"));
  CHECK(temp.is_empty());
}

TEST_CASE("a progress callback that throws ends the boot and leaves nothing") {
  const TempFolder disks(temp_root(), "vmi-disks-");
  const EmptyTemp temp;
  const ProfileOptions options = options_for(boot_sector(disks.path(), kHang));
  const Error error = error_of(options, [](int, const BootStatus& status) {
    if (status.stage == BootStatus::Stage::booting) throw Error(ExitStatus::interrupted, "interrupted");
  });
  CHECK(error.status() == ExitStatus::interrupted);
  CHECK(temp.is_empty());
  CHECK(fs::is_empty("/proc/self/task/" + std::to_string(getpid()) + "/children") == true);
}

TEST_CASE("a guest that powers itself off is ready by exit, and a failure by any other readiness") {
  const TempFolder disks(temp_root(), "vmi-disks-");
  const EmptyTemp temp;
  ProfileOptions options = options_for(boot_sector(disks.path(), kPowerOff));
  options.ready = ReadySpec::parse("exit");
  const BootProfile profile = profile_boot(options);
  CHECK(profile.working_set.extents.front().offset == 0);
  options.ready = ReadySpec::parse("serial:x");
  const Error error = error_of(options);
  CHECK(error.status() == ExitStatus::vm_failed);
  CHECK_THAT(error.what(), Catch::Contains("shut itself down before it was ready"));
  CHECK(temp.is_empty());
}

TEST_CASE("a guest that resets itself is not ready by exit") {
  const TempFolder disks(temp_root(), "vmi-disks-");
  const EmptyTemp temp;
  ProfileOptions options = options_for(boot_sector(disks.path(), kReset));
  options.ready = ReadySpec::parse("exit");
  const Error error = error_of(options);
  CHECK(error.status() == ExitStatus::vm_failed);
  CHECK_THAT(error.what(), Catch::Contains("reset itself"));
}

TEST_CASE("several runs are merged, and readiness 'none' traces for the settle time alone") {
  const TempFolder disks(temp_root(), "vmi-disks-");
  const EmptyTemp temp;
  ProfileOptions options = options_for(boot_sector(disks.path(), kSayR));
  options.ready = ReadySpec::parse("none");
  options.settle = 1s;
  options.runs = 2;
  const BootProfile profile = profile_boot(options);
  CHECK(profile.runs.size() == 2);
  REQUIRE_FALSE(profile.working_set.extents.empty());
  CHECK(profile.working_set.extents.front().offset == 0);
  CHECK(profile.working_set.extents.front().runs_seen == 2);
}
