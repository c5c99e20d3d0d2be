// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/placement.hpp"

#include <algorithm>

namespace vmi {
namespace {

/// How many of `total` things the `index`th of `places` gets when the first ones take what does not divide.
int share(int total, int places, int index) {
  return total / places + (index < total % places ? 1 : 0);
}

}  // namespace

std::vector<PlacedVm> place_vms(const LaunchOptions& options, const std::vector<int>& node_of_rank) {
  const int nodes = *std::ranges::max_element(node_of_rank) + 1;
  std::vector<std::vector<int>> ranks_of_node(static_cast<std::size_t>(nodes));
  for (std::size_t rank = 0; rank < node_of_rank.size(); ++rank) {
    ranks_of_node[static_cast<std::size_t>(node_of_rank[rank])].push_back(static_cast<int>(rank));
  }
  const int total = options.vms > 0 ? options.vms : options.vms_per_node * nodes;

  std::vector<PlacedVm> vms;
  vms.reserve(static_cast<std::size_t>(total));
  for (int node = 0; node < nodes; ++node) {
    const std::vector<int>& ranks = ranks_of_node[static_cast<std::size_t>(node)];
    const int on_node = share(total, nodes, node);
    for (std::size_t place = 0; place < ranks.size(); ++place) {
      const int on_rank = share(on_node, static_cast<int>(ranks.size()), static_cast<int>(place));
      for (int i = 0; i < on_rank; ++i) {
        const int index = static_cast<int>(vms.size());
        vms.push_back({index, options.hostname_prefix + std::to_string(index), 0, ranks[place]});
      }
    }
  }

  // Images without counts share the VMs evenly, as nodes do.
  std::size_t next = 0;
  const int images = static_cast<int>(options.images.size());
  for (int image = 0; image < images; ++image) {
    const int wanted = options.images[static_cast<std::size_t>(image)].vms;
    const int count = wanted > 0 ? wanted : share(total, images, image);
    for (int i = 0; i < count; ++i) vms[next++].image = image;
  }
  return vms;
}

}  // namespace vmi
