// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/seed.hpp"

#include "cachegen/support/process.hpp"

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

/// What blkid(8) says of the image, which is what a guest's udev would say.
std::string probed(const std::string& image) {
  const TempFolder folder(temp_root(), "seed-test-");
  const fs::path file = folder.path() / "seed.img";
  write_text_atomically(file, image);
  const RunResult result = run({"/usr/sbin/blkid", "--probe", "--output", "export", file.string()},
                               Deadline::after(std::chrono::seconds(30)));
  CHECK(result.ok());
  return result.out;
}

}  // namespace

TEST_CASE("a seed is a FAT file system with the label that cloud-init looks for, whatever its size") {
  const std::size_t size = GENERATE(0UL, 1UL, 4096UL, 4097UL, 3 * MiB, kMostUserData);
  CAPTURE(size);
  const std::string image =
      seed_image({.instance_id = "vm0", .hostname = "node0", .user_data = std::string(size, 'u')});
  const std::string found = probed(image);
  CHECK_THAT(found, Catch::Contains("LABEL=CIDATA\n") && Catch::Contains("TYPE=vfat\n"));
  CHECK(image.find("instance-id: vm0\nlocal-hostname: node0\n") != std::string::npos);
}

TEST_CASE("seeds of two VMs differ, the same seed is the same bytes") {
  Seed seed{.instance_id = "vm0", .hostname = "vm0", .user_data = "#cloud-config\n"};
  const std::string image = seed_image(seed);
  CHECK(seed_image(seed) == image);
  seed.instance_id = "vm1";
  CHECK(seed_image(seed) != image);
}

TEST_CASE("user data that cannot be read, or is too much, is refused by name") {
  CHECK_THROWS_WITH(read_user_data("/no/such.yaml"),
                    Catch::Contains("--user-data") && Catch::Contains("/no/such.yaml"));
  CHECK_THROWS_WITH(read_user_data("/"), Catch::Contains("'/'"));
  const TempFolder folder(temp_root(), "seed-test-");
  const fs::path large = folder.path() / "large";
  write_text_atomically(large, "");
  fs::resize_file(large, kMostUserData + 1);
  CHECK_THROWS_WITH(read_user_data(large), Catch::Contains("--user-data") && Catch::Contains("8.0 MiB"));
}
