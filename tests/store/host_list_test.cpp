// SPDX-License-Identifier: Apache-2.0
#include "cachegen/store/host_list.hpp"

#include <catch2/catch.hpp>

using vmi::host_list;

TEST_CASE("runs of numbers at the ends of names are drawn together") {
  CHECK(host_list({"n0", "n1", "n2", "n3"}) == "n[0-3]");
  CHECK(host_list({"n7", "n2", "n1", "n2"}) == "n[1-2,7]");
  CHECK(host_list({"n9", "n10", "n11"}) == "n[9-11]");
  CHECK(host_list({"r1-n1", "r1-n2", "r2-n1"}) == "r1-n[1-2],r2-n1");
}

TEST_CASE("names without numbers, and single ones, stay as they are") {
  CHECK(host_list({}).empty());
  CHECK(host_list({"n5"}) == "n5");
  CHECK(host_list({"login", "n1"}) == "login,n1");
  CHECK(host_list({"node.example.org", "10"}) == "10,node.example.org");
  CHECK(host_list({"n12345678901234567890"}) == "n12345678901234567890");
}

TEST_CASE("leading zeros are kept") {
  CHECK(host_list({"n001", "n002", "n010"}) == "n[001-002,010]");
  CHECK(host_list({"n08", "n09", "n10"}) == "n10,n[08-09]");
  CHECK(host_list({"n0", "n00"}) == "n0,n00");
}
