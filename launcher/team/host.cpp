// SPDX-License-Identifier: Apache-2.0
#include "launcher/team/agreed.hpp"
#include "launcher/team/layout.hpp"

#include <cstdlib>

#include <unistd.h>

namespace vmi {

std::string host_name() {
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) != 0)
    throw_errno(ExitStatus::environment, "cannot ask for the host's name");
  return name;
}

std::string own_node_key() {
  for (const char* name : {"VMILAUNCH_NODE_KEY", "SLURMD_NODENAME"}) {
    if (const char* key = std::getenv(name); key != nullptr && *key != '\0') return key;
  }
  return host_name();
}

}  // namespace vmi
