// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/distribute.hpp"

#include <string>
#include <vector>

namespace vmi {

/// One participant's neighbours in a tree; participant 0 is the source and has no parent.
struct TreePlace {
  int parent = -1;
  std::vector<int> children;
};

/// One participant's place in each tree of a scheme. Piece i of the stream travels in tree i modulo their
/// number.
using Route = std::vector<TreePlace>;

/// chain: 0 -> 1 -> 2 -> ...
/// two_trees: two binary trees, each for half of the pieces, such that no participant has children in both;
/// so each sends and receives the stream once, as in a chain, but over O(log n) hops (P. Sanders, J. Speck,
/// J. L. Traeff: Two-tree algorithms for full bandwidth broadcast, reduction and scan, Parallel Computing 35,
/// 2009).
Route route_of(Scheme scheme, int participant, int participants);

/// What a transfer of `bytes` to that many participants (the source included) is done with, for what
/// `options` leaves open; the rule and the figures behind it are in docs/adr/0003-distribution.md.
DistributeOptions resolve_options(DistributeOptions options, int participants, Bytes bytes);

std::string to_text(Scheme scheme);

}  // namespace vmi
