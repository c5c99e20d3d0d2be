// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/guest/guest.hpp"

#include <string>

namespace vmi {

/// QEMU's -cpu for this guest: its model, with `enforce`, so that a CPU that lacks a part of it is an error
/// and never a lesser CPU than was asked for. Not where the user writes `enforce` or `check` himself, and not
/// for qemu64, the model to fall back on, which gives what there is of it. `guest.accel` must be resolved.
std::string cpu_option(const GuestSpec& guest);

/// Throws Error(environment) that says what this node lacks of the model that the user has chosen; of a
/// default one there is nothing to lack. Asks QEMU, in a tenth of a second. `guest.accel` must be resolved,
/// `guest.qemu` be a program.
void check_cpu(const GuestSpec& guest, Deadline deadline);

/// What QEMU's words come to when it refuses the model.
std::string cpu_problem(const GuestSpec& guest, const std::string& words);

}  // namespace vmi
