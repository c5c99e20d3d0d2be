// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/qcow2_format.hpp"

#include "cachegen/support/error.hpp"

#include <random>

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

qcow2::FirstCluster example(Bytes cluster, std::size_t name) {
  qcow2::FirstCluster first;
  first.header.cluster_bits = qcow2::cluster_bits_of(cluster);
  first.header.virtual_bytes = 12 * MiB;
  first.header.l1_entries = 6;
  first.header.l1_offset = 3 * cluster;
  first.header.refcount_table_offset = cluster;
  first.header.refcount_table_clusters = 1;
  first.header.autoclear = 1ULL << 40;
  first.extensions.push_back({0x1234, std::vector<std::byte>(13, std::byte{7})});
  first.backing_name = std::string(name, 'n');
  return first;
}

}  // namespace

TEST_CASE("a first cluster is read back as it was written") {
  const auto first = example(4096, 1000);
  const std::vector<std::byte> bytes = qcow2::encode(first);
  CHECK(bytes.size() == 4096);
  const auto back = qcow2::decode(bytes);
  CHECK(back.header.virtual_bytes == 12 * MiB);
  CHECK(back.header.l1_entries == 6);
  CHECK(back.header.autoclear == 1ULL << 40);
  CHECK(back.backing_name == std::string(1000, 'n'));
  REQUIRE(back.find(0x1234) != nullptr);
  CHECK(back.find(0x1234)->data == first.extensions[0].data);
  CHECK(back.find(0x4321) == nullptr);
}

TEST_CASE("the first cluster takes a name up to its last byte and refuses one more") {
  const std::size_t room = 512 - qcow2::first_cluster_need(example(512, 0));
  CHECK(qcow2::encode(example(512, room)).size() == 512);
  CHECK(qcow2::decode(qcow2::encode(example(512, room))).backing_name.size() == room);
  CHECK_THROWS_WITH(qcow2::encode(example(512, room + 1)),
                    Catch::Contains("need 513 bytes") && Catch::Contains("512"));
  CHECK_NOTHROW(qcow2::encode(example(4096, 1023)));
  CHECK_THROWS_WITH(qcow2::encode(example(4096, 1024)),
                    Catch::Contains("1024 characters") && Catch::Contains("1023"));
}

TEST_CASE("cluster sizes are powers of two that qcow2 knows") {
  CHECK(qcow2::cluster_bits_of(512) == 9);
  CHECK(qcow2::cluster_bits_of(2 * MiB) == 21);
  for (const Bytes bad : {Bytes{0}, Bytes{256}, Bytes{1000}, 4 * MiB})
    CHECK_THROWS_AS(qcow2::cluster_bits_of(bad), Error);
}

TEST_CASE("each cluster size reaches as far as design.md says") {
  CHECK(qcow2::most_virtual_bytes(512) == 128 * GiB);
  CHECK(qcow2::most_virtual_bytes(4096) >= 2 * TiB);
  CHECK(qcow2::l1_entries(2 * TiB, 4096) * 8 == 8 * MiB);
  CHECK(qcow2::l1_entries(1, 4096) == 1);
  CHECK(qcow2::l1_entries(2 * MiB + 512, 4096) == 2);
  CHECK(qcow2::l1_entries(~Bytes{0}, 512) > 0);
}

TEST_CASE("garbage is refused with an Error, never worse") {
  std::mt19937_64 random(7);
  const std::vector<std::byte> good = qcow2::encode(example(4096, 300));
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::byte> bytes = good;
    for (int flips = 0; flips < 1 + i % 5; ++flips) bytes[random() % 512] = static_cast<std::byte>(random());
    if (i % 4 == 0) bytes.resize(random() % bytes.size());
    try {
      qcow2::decode(bytes);
    } catch (const Error& error) {
      CHECK(error.status() == ExitStatus::unusable);
      ++refused;
    }
  }
  CHECK(refused > 1000);
}
