// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/launch_options.hpp"

#include <string>
#include <vector>

namespace vmi {

/// One VM of the launch: which image it boots and which rank starts it.
struct PlacedVm {
  int index = 0;  ///< 0 .. VMs - 1 over the whole launch
  std::string name;
  int image = 0;  ///< index into LaunchOptions::images
  int rank = 0;
};

/// Spreads the VMs evenly: first over the nodes (counts differ by one at the most), then over each node's
/// ranks. Neighbouring indices go to one rank, images in the order given. `node_of_rank[r]`: the node index
/// of rank r, 0 .. nodes - 1.
std::vector<PlacedVm> place_vms(const LaunchOptions& options, const std::vector<int>& node_of_rank);

}  // namespace vmi
