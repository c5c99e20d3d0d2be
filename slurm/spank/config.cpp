// SPDX-License-Identifier: Apache-2.0
#include "slurm/spank/config.hpp"

#include <charconv>
#include <filesystem>

#include <dlfcn.h>

namespace vmi::spank {
namespace {

/// `relative` from the folder of the file that this code is in.
std::string beside_plugin(const char* relative) {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&parse_config), &info) == 0 || info.dli_fname == nullptr)
    return relative;
  return (std::filesystem::absolute(info.dli_fname).parent_path() / relative).lexically_normal();
}

/// Returns what is wrong; empty when nothing is.
std::string set_path(std::string& into, const std::string& value) {
  if (!value.starts_with('/')) return "is not an absolute path";
  into = value;
  return "";
}

std::string set_flag(bool& into, const std::string& value) {
  if (value != "yes" && value != "no") return "is not one of yes, no";
  into = value == "yes";
  return "";
}

std::string set_timeout(std::chrono::seconds& into, const std::string& value) {
  const std::chrono::seconds given = parse_seconds(value);
  if (given.count() == 0) return "is not a number of seconds from 1 to 600";
  into = given;
  return "";
}

std::string set_pattern(std::string& into, const std::string& value) {
  for (std::size_t at = value.find('%'); at != std::string::npos; at = value.find('%', at + 2)) {
    if (at + 1 == value.size() || std::string("nuj%").find(value[at + 1]) == std::string::npos)
      return "has a % that is not followed by n, u, j or %";
  }
  return set_path(into, value);
}

std::string set(Config& config, const std::string& key, const std::string& value) {
  if (key == "vmilaunch") return set_path(config.vmilaunch, value);
  if (key == "store") return set_path(config.store, value);
  if (key == "node_dir") return set_pattern(config.node_dir, value);
  if (key == "timeout") return set_timeout(config.timeout, value);
  if (key == "required") return set_flag(config.required, value);
  if (key != "epilog")
    return "is not known; there are vmilaunch, store, node_dir, timeout, required and epilog";
  if (value != "none") return set_path(config.epilog, value);
  config.epilog.clear();
  return "";
}

}  // namespace

Config parse_config(int count, char** arguments) {
  Config config;
  config.vmilaunch = beside_plugin(VMI_SPANK_VMILAUNCH);
  config.epilog = beside_plugin(VMI_SPANK_EPILOG);
  for (int i = 0; i < count; ++i) {
    const std::string argument = arguments[i];
    const std::size_t equals = argument.find('=');
    const std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
    const std::string wrong = set(config, argument.substr(0, equals), value);
    if (!wrong.empty() && config.error.empty())
      config.error = "argument '" + argument + "' of spank_vmilaunch.so in plugstack.conf " + wrong +
                     "; the administrator has to correct it";
  }
  return config;
}

std::chrono::seconds parse_seconds(const std::string& text) {
  int seconds = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, status] = std::from_chars(text.data(), end, seconds);
  const std::string unit(rest, end);
  if (status != std::errc() || (!unit.empty() && unit != "s") || seconds < 1 || seconds > 600) return {};
  return std::chrono::seconds(seconds);
}

std::string expand(const std::string& pattern, const std::string& node, unsigned user, unsigned job) {
  std::string text;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%' || i + 1 == pattern.size()) {
      text += pattern[i];
      continue;
    }
    const char word = pattern[++i];
    text += word == 'n' ? node : word == 'u' ? std::to_string(user) : word == 'j' ? std::to_string(job) : "%";
  }
  return text;
}

}  // namespace vmi::spank
