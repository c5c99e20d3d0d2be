// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/scheme.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

std::size_t hops_to(const std::vector<Route>& routes, std::size_t tree, int participant) {
  std::size_t hops = 0;
  while (participant > 0 && hops <= routes.size()) {
    participant = routes[static_cast<std::size_t>(participant)][tree].parent;
    ++hops;
  }
  return hops;
}

std::vector<Route> routes_of(Scheme scheme, int participants) {
  std::vector<Route> routes;
  routes.reserve(static_cast<std::size_t>(participants));
  for (int participant = 0; participant < participants; ++participant) {
    routes.push_back(route_of(scheme, participant, participants));
  }
  return routes;
}

}  // namespace

TEST_CASE("in every tree each participant is reached once, and parents and children know each other") {
  const Scheme scheme = GENERATE(Scheme::chain, Scheme::two_trees);
  for (int n = 1; n < 140; ++n) {
    const auto routes = routes_of(scheme, n);
    for (std::size_t tree = 0; tree < routes[0].size(); ++tree) {
      std::size_t edges = 0;
      for (int p = 0; p < n; ++p) {
        const TreePlace& place = routes[static_cast<std::size_t>(p)][tree];
        CHECK((place.parent < 0) == (p == 0));
        CHECK(hops_to(routes, tree, p) < static_cast<std::size_t>(n));
        for (const int child : place.children)
          CHECK(routes[static_cast<std::size_t>(child)][tree].parent == p);
        edges += place.children.size();
      }
      CHECK(edges == static_cast<std::size_t>(n - 1));
    }
  }
}

TEST_CASE("of two trees, each participant sends in one only, to two at most, and the paths are short") {
  for (int n = 2; n < 140; ++n) {
    const auto routes = routes_of(Scheme::two_trees, n);
    std::size_t depth = 0;
    while ((std::size_t{1} << depth) < static_cast<std::size_t>(n)) ++depth;
    for (int p = 1; p < n; ++p) {
      const Route& route = routes[static_cast<std::size_t>(p)];
      CHECK(std::min(route[0].children.size(), route[1].children.size()) == 0);
      CHECK(std::max(route[0].children.size(), route[1].children.size()) <= 2);
      CHECK(std::max(hops_to(routes, 0, p), hops_to(routes, 1, p)) <= std::max<std::size_t>(depth, 1));
    }
    CHECK(routes[0][0].children.size() == 1);
    CHECK(routes[0][1].children.size() == 1);
  }
}

TEST_CASE("few nodes get a chain, more get two trees, and pieces shrink with the payload") {
  CHECK(resolve_options({}, 2, 64 * MiB).scheme == Scheme::chain);
  CHECK(resolve_options({}, 64, 64 * MiB).scheme == Scheme::two_trees);
  CHECK(resolve_options({}, 64, 64 * MiB).piece_bytes > resolve_options({}, 64, 2 * MiB).piece_bytes);
  CHECK(resolve_options({.piece_bytes = 5000}, 64, 64 * MiB).piece_bytes == 5000);
}
