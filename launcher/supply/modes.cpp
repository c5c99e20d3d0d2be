// SPDX-License-Identifier: Apache-2.0
#include "launcher/supply/modes.hpp"

#include "cachegen/support/error.hpp"
#include "launcher/supply/supply.hpp"

#include <algorithm>

namespace vmi {

// Each in a file of its own.
std::unique_ptr<CacheSupply> make_auto_supply(const SupplySetting& setting);
std::unique_ptr<CacheSupply> make_none_supply(const SupplySetting& setting);
std::unique_ptr<CacheSupply> make_cold_supply(const SupplySetting& setting);
std::unique_ptr<CacheSupply> make_full_supply(const SupplySetting& setting);
std::unique_ptr<CacheSupply> make_path_supply(const SupplySetting& setting);

const std::vector<CacheMode>& cache_modes() {
  static const std::vector<CacheMode> modes = {
      {.name = "auto",
       .help = "find or profile",
       .from_pool = true,
       .can_be_shared = true,
       .make = make_auto_supply},
      {.name = "none", .help = "plain overlays", .make = make_none_supply},
      {.name = "cold", .help = "fill while booting", .fills = true, .make = make_cold_supply},
      {.name = "full", .help = "send the whole image", .can_be_shared = true, .make = make_full_supply},
      {.name = "path",
       .help = "this cache",
       .from_pool = true,
       .can_be_shared = true,
       .takes_path = true,
       .make = make_path_supply},
  };
  return modes;
}

const CacheMode& cache_mode(std::string_view value) {
  if (value.empty()) {
    throw Error(ExitStatus::usage,
                "--cache: the name is empty; say auto, none, cold, full or a cache's path");
  }
  const auto named = std::ranges::find_if(
      cache_modes(), [&](const CacheMode& mode) { return !mode.takes_path && mode.name == value; });
  return named != cache_modes().end() ? *named
                                      : *std::ranges::find(cache_modes(), true, &CacheMode::takes_path);
}

std::string cache_modes_help() {
  std::string text;
  for (const CacheMode& mode : cache_modes())
    text += (text.empty() ? "" : "; ") + (mode.takes_path ? "PATH" : mode.name) + ": " + mode.help;
  return text + ".";
}

}  // namespace vmi
