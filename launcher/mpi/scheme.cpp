// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/scheme.hpp"

#include <algorithm>
#include <bit>

namespace vmi {
namespace {

/// The binary tree over 1..n in which the numbers are in order from left to right and those with more
/// trailing zeros are higher; its top hangs below 0. Odd numbers are its leaves.
int in_order_parent(int number, int n) {
  const int bit = number & -number;
  const int upper = (number ^ bit) | (bit << 1);
  return upper <= n ? upper : number ^ bit;
}

std::vector<int> in_order_children(int number, int n) {
  std::vector<int> children;
  for (int bit = 1; bit <= n; bit *= 2) {
    for (const int child : {number - bit, number + bit}) {
      if (child >= 1 && child <= n && (child & -child) == bit && in_order_parent(child, n) == number) {
        children.push_back(child);
      }
    }
  }
  return children;
}

/// Another numbering of 1..n, its own way back or nearly so, in which odd and even change places: then leaves
/// of one tree are inner nodes of the other. With an odd n one participant stays a leaf in both.
int renumbered(int number, int n) {
  return n % 2 == 0 ? n + 1 - number : number % n + 1;
}
int numbered_back(int number, int n) {
  return n % 2 == 0 ? n + 1 - number : (number + n - 2) % n + 1;
}

TreePlace chain_place(int participant, int participants) {
  TreePlace place;
  place.parent = participant - 1;
  if (participant + 1 < participants) place.children = {participant + 1};
  return place;
}

TreePlace tree_place(int participant, int participants, bool second) {
  const int n = participants - 1;
  const auto to_tree = [&](int p) { return second && p > 0 ? renumbered(p, n) : p; };
  const auto from_tree = [&](int p) { return second && p > 0 ? numbered_back(p, n) : p; };
  TreePlace place;
  const int number = to_tree(participant);
  if (number > 0) place.parent = from_tree(in_order_parent(number, n));
  for (const int child : in_order_children(number, n)) place.children.push_back(from_tree(child));
  return place;
}

/// Pieces sent one after the other before the last participant has its first: a binary tree's inner node
/// serves two children in turn.
Bytes hops(Scheme scheme, int participants) {
  if (scheme == Scheme::chain || participants < 2) return static_cast<Bytes>(std::max(1, participants - 1));
  return 2 * static_cast<Bytes>(std::bit_width(static_cast<unsigned>(participants - 1))) - 1;
}

}  // namespace

Route route_of(Scheme scheme, int participant, int participants) {
  if (scheme == Scheme::two_trees) {
    return {tree_place(participant, participants, false), tree_place(participant, participants, true)};
  }
  return {chain_place(participant, participants)};
}

DistributeOptions resolve_options(DistributeOptions options, int participants, Bytes bytes) {
  if (options.scheme == Scheme::automatic) {
    const bool trees = hops(Scheme::two_trees, participants) < hops(Scheme::chain, participants);
    options.scheme = trees ? Scheme::two_trees : Scheme::chain;
  }
  if (options.piece_bytes == 0) {
    // A message of this size goes out at once under Open MPI's limit for TCP (64 KiB with its own header);
    // larger ones ask the receiver first, which costs a round trip each.
    constexpr Bytes kMost = 60 * KiB;
    constexpr Bytes kLeast = 8 * KiB;
    // Filling the path, hops times a piece, shall cost at most a twentieth of the payload.
    options.piece_bytes = std::clamp(bytes / (20 * hops(options.scheme, participants)), kLeast, kMost);
  }
  if (options.window == 0) options.window = 4;
  return options;
}

std::string to_text(Scheme scheme) {
  switch (scheme) {
    case Scheme::automatic:
      return "automatic";
    case Scheme::chain:
      return "chain";
    case Scheme::two_trees:
      return "two_trees";
  }
  return "unknown";
}

}  // namespace vmi
