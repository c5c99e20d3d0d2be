// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/process.hpp"

#include <optional>
#include <string>

/// Another process that acts as a rank: it has two VMs running and waits to be killed.
class RankThatHolds {
 public:
  explicit RankThatHolds(const std::string& backend);

  bool is_ready() const;
  int pid() const { return child_.pid(); }
  int supervisor_pid() const;
  vmi::fs::path runtime_root() const { return runtime_root_.path(); }
  vmi::fs::path node_dir() const { return node_dir_.path(); }
  std::string leftovers() const;

  /// What the other process does.
  static std::optional<int> run(int argc, char** argv);

 private:
  vmi::TempFolder node_dir_;
  vmi::TempFolder runtime_root_;
  vmi::Child child_;
};
