// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/process.hpp"
#include "cachegen/support/socket.hpp"

#include <chrono>
#include <csignal>
#include <string>

namespace vmi::testing {

inline Deadline soon() {
  return Deadline::after(std::chrono::seconds(60));
}

/// Runs a tool to its end and returns what it printed; fails the test when the tool fails.
inline std::string tool(const Argv& argv) {
  return run_checked(argv, soon());
}

/// `qemu-img check` finds neither errors nor leaks.
inline bool check_is_clean(const fs::path& image) {
  const RunResult result = run({"qemu-img", "check", "-f", "qcow2", image.string()}, soon());
  return result.ok() && result.out.find("No errors were found") != std::string::npos;
}

/// A server that listens on a Unix socket and ends with its owner.
inline Child serve(const Argv& argv, const fs::path& socket) {
  Child server = spawn(argv, {.death_signal = SIGKILL});
  connect_unix(socket, soon(), &server.pidfd());
  return server;
}

}  // namespace vmi::testing
