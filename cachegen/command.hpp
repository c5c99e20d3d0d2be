// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/error.hpp"
#include "cachegen/support/options.hpp"

namespace vmi {

/// One subcommand of vmicache, in cmd_NAME.cpp. main parses, sets the log's threshold and catches Error.
struct Command {
  const char* name;
  const OptionTable& (*options)();
  ExitStatus (*run)(const Options& options);  ///< data to stdout, what people wait for to stderr
};

Command build_command();
Command info_command();
Command verify_command();
Command trace_command();
Command ls_command();
Command gc_command();
Command nodes_command();

}  // namespace vmi
