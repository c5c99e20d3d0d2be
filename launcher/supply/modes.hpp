// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace vmi {

class CacheSupply;
struct SupplySetting;

/// A value of --cache. All that the rest of a launch knows of a mode stands here, and in the CacheSupply that
/// the mode makes (supply.hpp): a new mode is a file beside this one, and a row in modes.cpp.
struct CacheMode {
  std::string name;  ///< as --cache and the record have it
  std::string help;  ///< a clause
  /// Reads caches that were built beforehand from the node's pool; `--warm` can bring them there.
  bool from_pool = false;
  /// Each node's first VM of an image fills its cache.
  bool fills = false;
  /// There is one file to read where it lies (--cache-placement shared).
  bool can_be_shared = false;
  /// Where --cache is not the mode's name but a cache's path. One mode has it.
  bool takes_path = false;
  bool uses_cache() const { return fills || can_be_shared; }
  /// Makes this rank's part of it.
  std::unique_ptr<CacheSupply> (*make)(const SupplySetting&) = nullptr;
};

/// The first is the default.
const std::vector<CacheMode>& cache_modes();

/// The mode that `--cache VALUE` names. Throws Error(usage) for an empty value.
const CacheMode& cache_mode(std::string_view value);

/// For --help: "auto: find or profile; none: plain overlays; ...".
std::string cache_modes_help();

}  // namespace vmi
