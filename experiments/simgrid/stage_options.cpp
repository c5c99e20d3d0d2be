// SPDX-License-Identifier: Apache-2.0
#include "experiments/simgrid/stage_options.hpp"

#include <sstream>

namespace vmi {
namespace {

[[noreturn]] void refuse(const std::string& name, const std::string& text, const std::string& wanted) {
  throw Error(ExitStatus::usage, "--" + name + ": '" + text + "' is not " + wanted);
}

double parse_real(const std::string& name, const std::string& text) {
  std::istringstream in(text);
  double value = 0;
  if (!(in >> value) || !in.eof() || !(value >= 0)) refuse(name, text, "a number of 0 or more");
  return value;
}

std::vector<double> seconds_of(const Options& options, const std::string& name) {
  std::vector<double> seconds;
  std::istringstream parts(options.text(name));
  for (std::string part; std::getline(parts, part, ',');) seconds.push_back(parse_real(name, part));
  return seconds;
}

}  // namespace

void add_stage_options(OptionTable& table) {
  table.add({"size", 0, "BYTES", "64M", "size of the cache"})
      .add({"scheme", 0, "WHICH", "automatic", "the data's path", {"automatic", "chain", "two_trees"}})
      .add(
          {"prepare", 0, "S,S,...", "0.3", "seconds for creating a rank's VMs; each rank takes one of these"})
      .add({"boot", 0, "S,S,...", "1", "seconds until its VMs are ready; each rank takes one of these"});
}

StageOptions stage_options(const Options& options) {
  StageOptions stages;
  stages.cache_bytes = options.size("size");
  if (stages.cache_bytes == 0) refuse("size", options.text("size"), "a size above 0");
  const std::string scheme = options.text("scheme");
  stages.distribute.scheme = scheme == "chain"       ? Scheme::chain
                             : scheme == "two_trees" ? Scheme::two_trees
                                                     : Scheme::automatic;
  stages.prepare_s = seconds_of(options, "prepare");
  stages.boot_s = seconds_of(options, "boot");
  return stages;
}

double real_number(const Options& options, const std::string& name) {
  return parse_real(name, options.text(name));
}

}  // namespace vmi
