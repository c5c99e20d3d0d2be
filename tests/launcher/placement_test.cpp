// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/placement.hpp"

#include <algorithm>
#include <map>

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

LaunchOptions request(int vms, std::vector<ImageRequest> images = {{"a", 0}}) {
  LaunchOptions options;
  options.vms = vms;
  options.images = std::move(images);
  options.hostname_prefix = "vm";
  return options;
}

std::vector<int> vms_by_rank(const std::vector<PlacedVm>& vms, int ranks) {
  std::vector<int> counts(static_cast<std::size_t>(ranks));
  for (const PlacedVm& vm : vms) ++counts[static_cast<std::size_t>(vm.rank)];
  return counts;
}

}  // namespace

TEST_CASE("VMs spread evenly over ranks") {
  CHECK(vms_by_rank(place_vms(request(8), {0, 1, 2}), 3) == std::vector<int>{3, 3, 2});
  CHECK(vms_by_rank(place_vms(request(2), {0, 1, 2}), 3) == std::vector<int>{1, 1, 0});
  CHECK(vms_by_rank(place_vms(request(64), std::vector<int>(1, 0)), 1) == std::vector<int>{64});
}

TEST_CASE("nodes get equal shares however many ranks they run") {
  // node 0 runs three ranks, node 1 one
  CHECK(vms_by_rank(place_vms(request(12), {0, 0, 0, 1}), 4) == std::vector<int>{2, 2, 2, 6});
  CHECK(vms_by_rank(place_vms(request(5), {0, 1, 0, 1}), 4) == std::vector<int>{2, 1, 1, 1});
}

TEST_CASE("--vms-per-node counts nodes, not ranks") {
  LaunchOptions options = request(0);
  options.vms_per_node = 4;
  CHECK(vms_by_rank(place_vms(options, {0, 0, 1}), 3) == std::vector<int>{2, 2, 4});
}

TEST_CASE("every VM has its own index and name, in order of rank within a node") {
  const std::vector<PlacedVm> vms = place_vms(request(5), {0, 1});
  for (std::size_t i = 0; i < vms.size(); ++i) {
    CHECK(vms[i].index == static_cast<int>(i));
    CHECK(vms[i].name == "vm" + std::to_string(i));
  }
  CHECK(std::ranges::is_sorted(vms, {}, &PlacedVm::rank));
}

TEST_CASE("images get the counts asked for, or even shares") {
  std::map<int, int> counts;
  for (const PlacedVm& vm : place_vms(request(8, {{"a", 5}, {"b", 3}}), {0, 1})) ++counts[vm.image];
  CHECK(counts == std::map<int, int>{{0, 5}, {1, 3}});
  counts.clear();
  for (const PlacedVm& vm : place_vms(request(8, {{"a", 0}, {"b", 0}, {"c", 0}}), {0, 1})) ++counts[vm.image];
  CHECK(counts == std::map<int, int>{{0, 3}, {1, 3}, {2, 2}});
}
