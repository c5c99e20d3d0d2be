// SPDX-License-Identifier: Apache-2.0
#include "slurm/spank/args.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace vmi::spank {
namespace {

Args& given() {
  static Args instance;
  return instance;
}

/// Nothing that Slurm offers refuses options taken together for a plugin that is `optional`: each speaks for
/// itself.
std::string& configuration_error() {
  static std::string text;
  return text;
}

/// A callback's end: says what is wrong, if anything is. slurmstepd got options that srun has accepted.
int judge(const char* option, const char* value, const std::string& wrong, int remote) {
  if (remote == 0 && !configuration_error().empty()) {
    slurm_error("vmilaunch: %s: %s", option, configuration_error().c_str());
    return -1;
  }
  if (wrong.empty()) return 0;
  slurm_error("vmilaunch: %s: '%s' %s", option, value, wrong.c_str());
  return -1;
}

int take_image(int, const char* value, int remote) {
  given().image = value;
  return judge("--vmi-image", value, *value == '\0' ? "is no image; give its path or URL" : "", remote);
}

const char* not_a_count(const std::string& text) {
  int count = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, status] = std::from_chars(text.data(), end, count);
  const bool good = status == std::errc() && rest == end && count >= 1 && count <= 1'000'000;
  return good ? "" : "is not a number of VMs; give a whole number from 1 to 1000000";
}

// The two exclude each other for vmilaunch: here the one that came last counts, as of any option.
int take_vms(int, const char* value, int remote) {
  given().vms = value;
  given().vms_per_node.clear();
  return judge("--vmi-vms", value, not_a_count(value), remote);
}

int take_vms_per_node(int, const char* value, int remote) {
  given().vms_per_node = value;
  given().vms.clear();
  return judge("--vmi-vms-per-node", value, not_a_count(value), remote);
}

int take_cache(int, const char* value, int remote) {
  given().cache = value;
  return judge("--vmi-cache", value, *value == '\0' ? "is no cache; say auto, or give a cache's path" : "",
               remote);
}

int take_warm(int, const char* value, int remote) {
  const std::string word = value;
  given().warm = word == "yes" ? Warm::yes : word == "required" ? Warm::required : Warm::no;
  const bool good = word == "yes" || word == "no" || word == "required";
  return judge("--vmi-warm", value, good ? "" : "is not known; say yes, no or required", remote);
}

/// Slurm wants pointers to what it does not change.
char* text(const char* words) {
  return const_cast<char*>(words);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
}

std::array<spank_option, 5>& options() {
  static std::array<spank_option, 5> table = {{
      {text("vmi-image"), text("IMG"), text("[vmilaunch] warm the nodes' caches of this VM image"), 1, 0,
       take_image},
      {text("vmi-vms"), text("N"), text("[vmilaunch] VMs over all nodes"), 1, 0, take_vms},
      {text("vmi-vms-per-node"), text("N"), text("[vmilaunch] VMs on each node"), 1, 0, take_vms_per_node},
      {text("vmi-cache"), text("CACHE"), text("[vmilaunch] auto, or this boot cache"), 1, 0, take_cache},
      {text("vmi-warm"), text("yes|no|required"), text("[vmilaunch] required: or end the step"), 1, 0,
       take_warm},
  }};
  return table;
}

}  // namespace

bool Args::any() const {
  return !image.empty() || !vms.empty() || !vms_per_node.empty() || !cache.empty() ||
         warm != Warm::as_configured;
}

const Args& args() {
  return given();
}

int register_options(spank_t spank, const std::string& wrong) {
  configuration_error() = wrong;
  const bool all = std::ranges::all_of(options(), [&](spank_option& option) {
    return spank_option_register(spank, &option) == ESPANK_SUCCESS;
  });
  if (!all) slurm_error("vmilaunch: Slurm does not take the plugin's options");
  return all ? 0 : -1;
}

}  // namespace vmi::spank
