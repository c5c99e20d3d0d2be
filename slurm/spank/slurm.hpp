// SPDX-License-Identifier: Apache-2.0
#pragma once

// Slurm's header uses fixed-width types without including them, and leaves its callbacks' linkage to who
// includes it.
#include <stdint.h>  // NOLINT(modernize-deprecated-headers)

extern "C" {
#include <slurm/spank.h>
}
