// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/options.hpp"
#include "experiments/simgrid/stages.hpp"

namespace vmi {

/// The options of the stages, which real and simulated launches share.
void add_stage_options(OptionTable& table);
StageOptions stage_options(const Options& options);

/// A number that need not be whole and is not negative; errors name the option.
double real_number(const Options& options, const std::string& name);

}  // namespace vmi
