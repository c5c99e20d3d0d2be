// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/layout.hpp"

#include "cachegen/cache/qcow2_format.hpp"
#include "cachegen/support/error.hpp"
#include "cachegen/support/hash.hpp"

#include <random>
#include <set>

#include <catch2/catch.hpp>

using namespace vmi;

TEST_CASE("a set of clusters returns exactly what is new") {
  std::mt19937_64 random(1);
  ClusterSet set;
  std::set<std::uint64_t> model;
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t begin = random() % 500;
    const std::uint64_t end = begin + random() % 20;
    std::vector<std::uint64_t> expected;
    for (std::uint64_t c = begin; c < end; ++c) {
      if (model.insert(c).second) expected.push_back(c);
    }
    std::vector<std::uint64_t> got;
    for (const auto& [from, to] : set.add(begin, end)) {
      for (std::uint64_t c = from; c < to; ++c) got.push_back(c);
    }
    REQUIRE(got == expected);
    if (model.size() > 450) {
      set = {};
      model.clear();
    }
  }
}

TEST_CASE("extents are rounded out to clusters, and every cluster comes once, where it came first") {
  const std::vector<BootExtent> extents = {{10000, 100, 5}, {4096, 8192, 6}, {0, 0, 7}, {20479, 2, 8}};
  const std::vector<OrderRun> expected = {{2, 1, false, 5}, {1, 1, false, 6}, {4, 2, false, 8}};
  CHECK(clusters_in_order(extents, MiB, 4096) == expected);
}

TEST_CASE("an extent that leaves the image is refused") {
  CHECK_NOTHROW(clusters_in_order(std::vector<BootExtent>{{1000, 24, 0}}, 1024, 4096));
  CHECK_THROWS_AS(clusters_in_order(std::vector<BootExtent>{{1000, 25, 0}}, 1024, 4096), Error);
  CHECK_THROWS_AS(clusters_in_order(std::vector<BootExtent>{{~Bytes{0}, 2, 0}}, 1024, 4096), Error);
}

TEST_CASE("parts follow each other without gaps and the reference counts cover them all") {
  for (const Bytes cluster : {Bytes{512}, Bytes{4096}, Bytes{65536}}) {
    for (const std::uint64_t data : {0U, 1U, 255U, 256U, 257U, 2000U, 100000U}) {
      CAPTURE(cluster, data);
      const Layout layout = lay_out({3 * GiB, cluster}, 7, data);
      CHECK(layout.refcount_table == cluster);
      CHECK(layout.l2 - layout.l1 == round_up(qcow2::l1_entries(3 * GiB, cluster) * 8, cluster));
      CHECK(layout.data - layout.l2 == 7 * cluster);
      CHECK(layout.trailer - layout.data == data * cluster);
      const std::uint64_t blocks = (layout.l1 - layout.refcount_blocks) / cluster;
      CHECK(blocks * qcow2::refcounts_per_block(cluster) >= layout.trailer / cluster);
      CHECK((blocks - 1) * qcow2::refcounts_per_block(cluster) < layout.trailer / cluster);
      CHECK((layout.refcount_blocks - layout.refcount_table) >= blocks * 8);
    }
  }
}

TEST_CASE("a plan takes the longest prefix whose whole file fits, to the byte") {
  std::mt19937_64 random(11);
  const BaseIdentity base;
  const nlohmann::json facts = {{"runs", 1}};
  for (const Bytes cluster : {Bytes{512}, Bytes{4096}}) {
    const Geometry geometry{GiB, cluster};
    struct Item {
      std::uint64_t cluster;
      bool zero;
    };
    std::vector<Item> items;
    for (std::uint64_t i = 0; i < 2000; ++i)
      items.push_back(
          {i % 7 == 0 ? random() % (GiB / cluster) : (items.empty() ? 0 : items.back().cluster + 1),
           random() % 4 == 0});

    // Sizes of all prefixes, from the parts themselves: encode() says how long a trailer is.
    std::vector<Bytes> sizes;
    std::vector<OrderRun> order;
    std::set<std::uint64_t> tables;
    std::uint64_t data = 0;
    for (const Item& item : items) {
      if (!order.empty() && order.back().end() == item.cluster && order.back().zero == item.zero) {
        ++order.back().count;
      } else {
        order.push_back({item.cluster, 1, item.zero, 0});
      }
      tables.insert(item.cluster / qcow2::l2_entries(cluster));
      data += item.zero ? 0 : 1;
      const Bytes end = lay_out(geometry, tables.size(), data).trailer;
      Trailer trailer{.base = base,
                      .facts = facts,
                      .chunk_hashes = std::vector<std::uint64_t>(end / kDigestChunk),
                      .order = order};
      sizes.push_back(end + trailer.encode(end).size());
    }
    REQUIRE(std::ranges::is_sorted(sizes));

    std::vector<Bytes> quotas;
    for (const std::size_t i : {0U, 1U, 50U, 777U, 1998U, 1999U})
      quotas.insert(quotas.end(), {sizes[i] - 1, sizes[i], sizes[i] + 1});
    for (const Bytes quota : quotas) {
      CAPTURE(cluster, quota);
      Plan plan(geometry, quota, base, facts);
      std::size_t taken = 0;
      while (taken < items.size() && plan.add(items[taken].cluster, items[taken].zero, 0)) ++taken;
      CHECK(taken == static_cast<std::size_t>(std::ranges::upper_bound(sizes, quota) - sizes.begin()));
      if (taken > 0) CHECK(plan.layout().file_bytes == sizes[taken - 1]);
      CHECK(plan.clusters() == taken);
    }
  }
}

TEST_CASE("a quota below the metadata of an empty cache is refused with the size it needs") {
  const Plan empty({2 * GiB, 4096}, 0, {}, {});
  CHECK_NOTHROW(Plan({2 * GiB, 4096}, empty.layout().file_bytes, {}, {}));
  CHECK_THROWS_WITH(
      Plan({2 * GiB, 4096}, empty.layout().file_bytes - 1, {}, {}),
      Catch::Contains("too small") && Catch::Contains(std::to_string(empty.layout().file_bytes)));
}
