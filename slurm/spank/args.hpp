// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "slurm/spank/slurm.hpp"

#include <string>

namespace vmi::spank {

enum class Warm { as_configured, no, yes, required };

/// What the user gave to srun. An option that comes again replaces what it said before.
struct Args {
  std::string image;
  std::string vms;
  std::string vms_per_node;
  std::string cache;
  Warm warm = Warm::as_configured;

  bool any() const;  ///< else the step is none of the plugin's
};

/// Slurm hands option values to callbacks without a place for data, hence one for the process.
const Args& args();

/// Adds the options to srun's, and to what slurmstepd accepts of it. srun refuses each of them, with this
/// text, when something is `wrong` with the plugin's configuration.
int register_options(spank_t spank, const std::string& wrong);

}  // namespace vmi::spank
