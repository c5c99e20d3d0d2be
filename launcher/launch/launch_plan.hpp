// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/image_plan.hpp"
#include "launcher/launch/launch_clock.hpp"
#include "launcher/launch/launch_options.hpp"
#include "launcher/launch/placement.hpp"
#include "launcher/launch/rank.hpp"

#include <vector>

namespace vmi {

/// What a launch is going to start, and where. But for the last members, all ranks know the same.
struct LaunchPlan {
  LaunchClock clock;  ///< rank 0's, on every rank
  std::vector<ImagePlan> images;
  std::vector<PlacedVm> placed;
  GuestSpec guest;  ///< the options' with the accelerator that all ranks use

  // Of this rank's node.
  HypervisorFacts hypervisor;
  Driver driver = Driver::qcow2;
  std::int64_t offset_ns = 0;  ///< to add to this node's clock to get rank 0's
  fs::path node_folder;        ///< of this launch and rank, below --node-dir; the supervisor removes it

  const ImagePlan& image_of(const PlacedVm& vm) const { return images[static_cast<std::size_t>(vm.image)]; }
  /// Index of the node's first VM of the image, on whichever of its ranks; -1: it has none.
  int first_vm_on(const NodeLayout& layout, const ImagePlan& image) const;
  /// Whether this rank's node has VMs of the image.
  bool boots_here(const NodeLayout& layout, const ImagePlan& image) const {
    return first_vm_on(layout, image) != -1;
  }
};

/// Stage *plan*: QEMU and libvirt of every node, images and accelerator as rank 0 finds them, places of the
/// VMs, clocks. Afterwards all ranks know what will be started where, the reporter too, and each supervisor
/// is getting its hypervisor ready. `clock` counts on rank 0.
LaunchPlan plan_launch(Rank& rank, const LaunchOptions& options, const LaunchClock& clock);

}  // namespace vmi
