// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/image_plan.hpp"
#include "launcher/launch/launch_options.hpp"
#include "launcher/launch/placement.hpp"

#include <string>

namespace vmi {

/// One VM as its supervisor is asked for it: of `image`, whose `local` and `filler` are known. `guest`,
/// `driver`: as the launch has resolved them; unresolved, the supervisor does that. `cpus`: empty: anywhere.
VmSpec vm_spec(const LaunchOptions& options, const ImagePlan& image, const PlacedVm& vm,
               const GuestSpec& guest, Driver driver, const std::string& cpus);

}  // namespace vmi
