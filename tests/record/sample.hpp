// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/record/journal.hpp"

namespace vmi {

struct SampleOptions {
  int vms = 8;
  int nodes = 2;
  bool cached = true;         ///< booted from a cache; otherwise plain overlays, which are slower
  bool with_failures = true;  ///< the last VM never got ready
};

RunAttributes sample_attributes(const SampleOptions& options);

/// Tells the journal of a made-up launch, the end left out.
void tell_sample(Journal& journal, const SampleOptions& options);

/// ... and its end.
void tell_sample_end(Journal& journal, const SampleOptions& options);

}  // namespace vmi
