// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"

#include <optional>
#include <string>

namespace vmi {

struct QemuFacts;

/// The program that runs.
fs::path this_program();

/// The cache-enabled QEMU that `cmake --install` has put beside `program`; nothing where there is none, as
/// in a build folder.
std::optional<fs::path> installed_qemu(const fs::path& program = this_program());

/// What is run unless a user names another: the installed one, else "qemu-system-x86_64" on PATH.
std::string default_qemu(const fs::path& program = this_program());

/// What a user should know who has chosen `qemu` though a cache-enabled one is installed; empty: nothing.
std::string stock_qemu_warning(const QemuFacts& qemu, const fs::path& program = this_program());

}  // namespace vmi
