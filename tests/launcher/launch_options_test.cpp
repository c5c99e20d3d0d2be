// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/launch_options.hpp"

#include "cachegen/support/error.hpp"

#include <cstdlib>
#include <fstream>

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

LaunchOptions parse(std::vector<const char*> words) {
  words.insert(words.begin(), "vmilaunch");
  return launch_options(launch_option_table().parse(static_cast<int>(words.size()), words.data()));
}

/// The message of the usage error that these words give.
std::string refusal(std::vector<const char*> words) {
  words.insert(words.begin(), {"--image", "a.qcow2"});
  try {
    parse(std::move(words));
  } catch (const Error& error) {
    CHECK(error.status() == ExitStatus::usage);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("a plain launch has the documented defaults") {
  const LaunchOptions launch = parse({"--image", "debian.qcow2", "--vms", "64"});
  REQUIRE(launch.images.size() == 1);
  CHECK(launch.images[0].url == "debian.qcow2");
  CHECK(launch.vms == 64);
  CHECK(launch.guest.memory == 512 * MiB);
  CHECK(launch.guest.cpus == 1);
  CHECK(launch.cache->name == "auto");
  CHECK(launch.quota == 256 * MiB);
  CHECK(launch.timeout == std::chrono::seconds(300));
  CHECK(launch.ready.to_text() == "serial:login: ");
  CHECK_FALSE(launch.command);
}

TEST_CASE("how many VMs there will be is not asked of who only warms") {
  CHECK(parse({"--image", "a.qcow2", "--warm"}).warm);
  CHECK_THAT(refusal({}), Catch::Contains("how many VMs"));
}

TEST_CASE("an image may carry its own count, and a URL's colons are not mistaken for one") {
  const LaunchOptions launch = parse({"--image", "a.qcow2:3", "--image", "dir:x/b.raw:5"});
  CHECK(launch.vms == 8);
  CHECK(launch.images[1].url == "dir:x/b.raw");
  CHECK(launch.images[1].vms == 5);
  CHECK(parse({"--image", "nbd://host:10809", "--vms", "1"}).images[0].url == "nbd://host:10809");
  CHECK(parse({"--image", "nbd://host:10809/disk:2"}).images[0].url == "nbd://host:10809/disk");
  CHECK(parse({"--image", "nbd+unix:///disk?socket=/tmp/s", "--vms", "1"}).images[0].vms == 0);
}

TEST_CASE("numbers of VMs that contradict each other are refused") {
  CHECK_THAT(refusal({}), Catch::Contains("--vms"));
  CHECK_THAT(refusal({"--vms", "2", "--vms-per-node", "2"}), Catch::Contains("exclude"));
  CHECK_THAT(refusal({"--vms", "0"}), Catch::Contains("'0'"));
  CHECK_THROWS_WITH(parse({"--image", "a:2", "--vms", "3"}), Catch::Contains("add up to 2"));
  CHECK_THROWS_WITH(parse({"--image", "a:2", "--image", "b"}), Catch::Contains("every image"));
  CHECK_THROWS_WITH(parse({"--vms", "3"}), Catch::Contains("--image"));
}

TEST_CASE("bad values are refused with the option's name") {
  const std::vector<std::pair<const char*, const char*>> bad = {
      {"--memory", "lots"},
      {"--memory", "1K"},
      {"--cpus", "0"},
      {"--machine", "amiga"},
      {"--accel", "hvf"},
      {"--cache-placement", "x"},
      {"--verify-cache", "x"},
      {"--quota", "0"},
      {"--quota", "-1M"},
      {"--driver", "floppy"},
      {"--ready", "sometime"},
      {"--ready", "serial:("},
      {"--timeout", "0"},
      {"--timeout", "soon"},
      {"--net", "bridge"},
      {"--ssh-key", "/no/such/key"},
      {"--ssh-key", "/etc/passwd"},
      {"--user-data", "/no/such/file"},
      {"--hostname-prefix", "a b"},
      {"--hostname-prefix", "-x"},
      {"--note", "novalue"},
      {"--backend", "xen"},
      {"--initrd", "x"},
      {"--runs", "0"},
      {"--vms-per-node", "x"},
  };
  for (const auto& [option, value] : bad) {
    CAPTURE(option, value);
    CHECK_THAT(refusal({"--vms", "1", option, value}), Catch::Contains(option));
  }
}

TEST_CASE("a shared cache is read by its path, or where a server has it") {
  CHECK(parse({"--image", "a", "--vms", "1"}).placement == Placement::node);
  const LaunchOptions shared = parse({"--image", "a", "--vms", "1", "--cache-placement", "shared"});
  CHECK(shared.placement == Placement::shared);
  CHECK(shared.cache_url.empty());
  const LaunchOptions served =
      parse({"--image", "a", "--vms", "1", "--cache-placement", "nbd://storage/a.vmic"});
  CHECK(served.placement == Placement::shared);
  CHECK(served.cache_url == "nbd://storage/a.vmic");
  CHECK_THROWS_WITH(parse({"--image", "a:1", "--image", "b:1", "--cache-placement", "nbd://storage/a.vmic"}),
                    Catch::Contains("several images"));
}

TEST_CASE("hold and a command exclude each other, and the command is kept word by word") {
  CHECK_THAT(refusal({"--vms", "1", "--hold", "--", "true"}), Catch::Contains("--hold"));
  CHECK_THAT(refusal({"--vms", "1", "--"}), Catch::Contains("no command"));
  const LaunchOptions launch = parse({"--image", "a", "--vms", "1", "--", "ssh", "--vms", "x y"});
  CHECK(launch.command == std::vector<std::string>{"ssh", "--vms", "x y"});
}

TEST_CASE("the record is named after the job, or else after the time") {
  setenv("SLURM_JOB_ID", "17", 1);
  setenv("SLURM_STEP_ID", "3", 1);
  CHECK(default_output() == "vmilaunch-17.3.h5");
  setenv("SLURM_STEP_ID", "0", 1);
  CHECK(default_output() == "vmilaunch-17.h5");
  setenv("SLURM_RESTART_COUNT", "2", 1);
  CHECK(default_output() == "vmilaunch-17-restart2.h5");
  unsetenv("SLURM_RESTART_COUNT");
  unsetenv("SLURM_JOB_ID");
  unsetenv("SLURM_STEP_ID");
  CHECK_THAT(default_output().string(), Catch::StartsWith("vmilaunch-20") && Catch::EndsWith("Z.h5"));
}
