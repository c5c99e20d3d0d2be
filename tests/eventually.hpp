// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"

#include <chrono>

#include <unistd.h>

namespace vmi::testing {

/// Looks again and again until the condition holds, where nothing announces it; false when it does not in
/// time.
template <typename Condition>
[[nodiscard]] bool eventually(const Condition& condition,
                              Deadline deadline = Deadline::after(std::chrono::seconds(60))) {
  while (!condition()) {
    if (deadline.passed()) return condition();
    usleep(1000);
  }
  return true;
}

}  // namespace vmi::testing
