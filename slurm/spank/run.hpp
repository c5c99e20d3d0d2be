// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <sys/types.h>

namespace vmi::spank {

/// A program that the plugin has run by the job's user, in a process group of its own.
struct Program {
  std::vector<std::string> argv;  ///< argv[0] is a path
  std::vector<std::string> environment;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  ///< set when this process is root; else the groups stay
  std::chrono::seconds timeout{};
};

/// vmilaunch's exit status for what the node lacks.
inline constexpr int kEnvironment = 4;

struct Outcome {
  bool ok = false;
  int status = kEnvironment;  ///< an exit status for who ends because of this: the program's own, or 124 when
                              ///< it was late
  std::string why;            ///< when it is not: "vmilaunch: exit status 3", "... did not end within 50 s"
  std::string said;           ///< the end of its standard error
};

/// Runs it until it ends, or ends it at the deadline (SIGTERM, SIGKILL two seconds later). Its stdin and
/// stdout are /dev/null.
Outcome run(const Program& program);

}  // namespace vmi::spank
