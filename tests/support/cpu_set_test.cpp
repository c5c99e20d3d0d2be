// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/cpu_set.hpp"

#include <catch2/catch.hpp>

using namespace vmi;

TEST_CASE("CPU lists are read as the kernel writes them") {
  CHECK(parse_cpu_list("0-3,8\n") == CpuSet{0, 1, 2, 3, 8});
  CHECK(parse_cpu_list("5") == CpuSet{5});
  CHECK(parse_cpu_list("\n").empty());
  CHECK(parse_cpu_list("none,-3,7-999999999").empty());
}

TEST_CASE("masks have a bit for each CPU") {
  CHECK(to_cpu_mask({0, 2, 65}) == std::vector<unsigned long>{5, 2});
  CHECK(to_cpu_mask({}).empty());
}

TEST_CASE("CPU lists are written as the kernel reads them") {
  CHECK(to_cpu_list({0, 1, 2, 3, 8, 10, 11}) == "0-3,8,10-11");
  CHECK(to_cpu_list({}).empty());
}
