// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/units.hpp"

#include <cstdint>

namespace vmi {

/// A part of an image that boots read, in the order in which they did.
struct BootExtent {
  Bytes offset = 0;
  Bytes bytes = 0;
  std::int64_t first_access_us = 0;  ///< since the guest started, mean over the runs that read it

  bool operator==(const BootExtent&) const = default;
};

}  // namespace vmi
