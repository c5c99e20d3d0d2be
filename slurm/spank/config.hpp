// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

namespace vmi::spank {

/// The plugin's arguments on its line of plugstack.conf: KEY=VALUE each, the last of a kind wins.
struct Config {
  std::string vmilaunch;  ///< the program that warms
  std::string store;      ///< VMILAUNCH_CACHE_DIR of tasks that have none; empty: vmilaunch's default
  std::string node_dir;   ///< VMILAUNCH_NODE_DIR likewise; %n node, %u user id, %j job, %% a %
  std::string epilog;     ///< what the epilog runs as the job's user; empty: nothing
  std::chrono::seconds timeout{50};  ///< of warming; Slurm's UnkillableStepTimeout is 60 s by default
  bool required = false;             ///< a node that cannot be warmed ends the step
  /// What is wrong with the arguments, and how to put it right; then the plugin does nothing, and says so to
  /// who asks for it.
  std::string error;
};

Config parse_config(int count, char** arguments);

/// A whole number of seconds from 1 to 600, an `s` behind it allowed; 0: it is not.
std::chrono::seconds parse_seconds(const std::string& text);

/// `node_dir` with its % words replaced.
std::string expand(const std::string& pattern, const std::string& node, unsigned user, unsigned job);

}  // namespace vmi::spank
