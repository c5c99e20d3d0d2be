// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/expected_vms.hpp"

#include "cachegen/support/hash.hpp"
#include "fake_host.hpp"
#include "launcher/node/node_pool.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>

using namespace vmi;

namespace {

/// A node of a Slurm step with one rank a node, whose pool keeps the cache of /images/a.
struct Node {
  TempFolder folder{temp_root(), "expected-vms-test-"};
  FakeHost host;
  LaunchOptions options;
  fs::path cache;

  Node() {
    host.variables = {{"SLURM_JOB_ID", "7"},         {"SLURM_PROCID", "1"},
                      {"SLURM_NODEID", "1"},         {"SLURM_STEP_NUM_TASKS", "2"},
                      {"SLURM_STEP_NUM_NODES", "2"}, {"SLURM_MEM_PER_NODE", "1000"},
                      {"SLURM_CPUS_ON_NODE", "4"}};
    host.write("proc/self/status", "Cpus_allowed_list:\t0-3\n");
    host.write("sys/devices/system/cpu/online", "0-7\n");
    options.images = {{"/images/a", 0}};
    options.vms = 3;
    options.guest.accel = Accel::tcg;
    options.guest.memory = 64 * MiB;
    options.node_dir = folder.path() / "node";
    options.hostname_prefix = "vm";
    cache = keep("a");
  }

  fs::path keep(const std::string& content) const {
    NodePool pool(options.node_dir, 1 * GiB);
    const fs::path file = folder.path() / "new";
    write_text_atomically(file, content);
    const std::string digest = digest_of(chunk_hashes(open_file(file, O_RDONLY), content.size()));
    REQUIRE(pool.keep(file, digest, [&](const fs::path& name) { fs::rename(file, name); }));
    pool.note_image(digest, {"/images/" + content, "raw", 10 * MiB});
    return pool.path_of(digest);
  }
  std::optional<ExpectedVms> expect() const { return expect_vms(options, host.view()); }
};

}  // namespace

TEST_CASE("a rank expects its VMs of an image whose cache its node keeps") {
  Node node;
  const std::optional<ExpectedVms> expected = node.expect();
  REQUIRE(expected);
  REQUIRE(expected->request.vms.size() == 1);  // of three on two nodes, the first has two
  const VmSpec& vm = expected->request.vms[0];
  CHECK(vm.index == 2);
  CHECK(vm.name == "vm2");
  CHECK(vm.image_url == "/images/a");
  CHECK(vm.image_format == "raw");
  CHECK(vm.virtual_bytes == 10 * MiB);
  CHECK(vm.cache == node.cache.string());
  CHECK(vm.cpus == "0-3");
  CHECK(expected->cpus == "0-3");
  CHECK(expected->request.node_dir == node.options.node_dir.string());
  CHECK(expected->allocation.memory == 1000 * MiB);
}

TEST_CASE("a rank that cannot know its VMs expects none") {
  Node node;
  SECTION("two ranks on a node") {
    node.host.variables["SLURM_STEP_NUM_TASKS"] = "4";
  }
  SECTION("ranks that are not in the order of nodes") {
    node.host.variables["SLURM_NODEID"] = "0";
  }
  SECTION("ranks that mpirun has started") {
    node.host.variables["OMPI_COMM_WORLD_SIZE"] = "2";
  }
  SECTION("nodes named otherwise") {
    node.host.variables["VMILAUNCH_NODE_KEY"] = "a";
  }
  SECTION("one component of a job of several") {
    node.host.variables["SLURM_HET_SIZE"] = "2";
  }
  SECTION("no Slurm") {
    node.host.variables.clear();
  }
  SECTION("a rank that is none") {
    node.host.variables["SLURM_PROCID"] = "2";
  }
  SECTION("another image") {
    node.options.images = {{"/images/b", 0}};
  }
  SECTION("an image more") {
    node.options.images.push_back({"/images/b", 0});
  }
  SECTION("a cache that is gone") {
    fs::remove(node.cache);
  }
  SECTION("no cache to be used") {
    node.options.cache = CacheMode::none;
  }
  SECTION("a cache that stays where it is") {
    node.options.placement = Placement::shared;
  }
  SECTION("nothing to be started") {
    node.options.dry_run = true;
  }
  SECTION("too little memory") {
    node.host.variables["SLURM_MEM_PER_NODE"] = "100";
  }
  SECTION("too few CPUs") {
    node.options.guest.cpus = 8;
    node.host.variables["SLURM_CPUS_ON_NODE"] = "4";
  }
  CHECK_FALSE(node.expect());
}

TEST_CASE("with several images a rank expects VMs of each") {
  Node node;
  const fs::path other = node.keep("b");
  node.options.images.push_back({"/images/b", 0});
  node.options.vms = 4;
  const std::optional<ExpectedVms> expected = node.expect();
  REQUIRE(expected);
  REQUIRE(expected->request.vms.size() ==
          2);  // place_vms() gives the second half of the VMs to the second image
  for (const VmSpec& vm : expected->request.vms) CHECK(vm.cache == other.string());
}
