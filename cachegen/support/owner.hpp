// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"

#include <optional>
#include <string>

namespace vmi {

/// Names a process so that nobody is mistaken for it later: pid, its start time and the boot of the machine.
/// Folders and lock files carry one, so that what a killed process left can be told from what is in use.
struct Owner {
  int pid = 0;
  unsigned long long start_ticks = 0;  ///< field 22 of /proc/PID/stat (proc(5))
  std::string boot_id;                 ///< /proc/sys/kernel/random/boot_id
  std::string host;

  static Owner self();
  static std::optional<Owner> of(int pid);

  /// One line, "pid start_ticks boot_id host".
  std::string to_text() const;
  static std::optional<Owner> from_text(const std::string& text);

  enum class State { alive, dead, unknown };
  /// `unknown` for an owner on another host, whose processes cannot be seen from here.
  State state() const;
};

/// Writes `folder/owner` for this process.
void write_owner(const fs::path& folder);
/// Reads `folder/owner`; nothing when it is missing or damaged.
std::optional<Owner> read_owner(const fs::path& folder);

}  // namespace vmi
