// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/cache_writer.hpp"
#include "cachegen/profile/profile.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

/// What a boot cache is to be made of, and how.
struct BuildRequest {
  std::string image;  ///< path or URL
  GuestSpec guest;
  ReadySpec ready;
  Bytes quota = 256 * MiB;
  int runs = 1;
  Bytes granularity = kDefaultGranularity;  ///< of the trace, and the cache's cluster size
  std::chrono::milliseconds timeout{300'000};
  std::chrono::milliseconds settle = kDefaultSettle;
  fs::path trace_out;  ///< HDF5 file for the boot trace, written when the image is profiled; empty: none
  fs::path store;      ///< of build_or_find(); empty: Store::default_folder()
};

nlohmann::json to_json(const BuildRequest& request);
/// What is missing, the image excepted, takes its default. Throws Error(unusable) for what is damaged.
BuildRequest build_request_from_json(const nlohmann::json& json);

/// Throws Error(usage) for sizes and counts that make no sense.
void check_build(const BuildRequest& request);

struct BuildSummary {
  ImageInfo image;
  CacheSummary cache;
  nlohmann::json
      facts;  ///< as the cache's trailer has them: `runs`, `ready`, `machine`, `working_set_bytes`, ...
};

/// In what a cache's facts differ from what this request would profile, as far as it changes what a guest
/// reads: "machine 'q35' instead of 'pc'" each. The request's accelerator must be resolved.
std::vector<std::string> profile_differences(const nlohmann::json& facts, const BuildRequest& request);

/// What goes on, for a person. A new stage is worth a line of its own; the rest updates it, several times a
/// second.
struct BuildStep {
  bool new_stage = false;
  std::string text;
};
/// May throw to end the build, which then leaves nothing behind.
using BuildProgress = std::function<void(const BuildStep& step)>;

/// Profiles the image and writes its boot cache to `output`, which is then the old file or a whole new one
/// that was compared with the base in samples. Errors as inspect_image(), profile_boot() and write_cache().
BuildSummary build_cache(const BuildRequest& request, const fs::path& output,
                         const BuildProgress& progress = {});

struct FoundCache {
  fs::path path;
  bool built = false;  ///< by this call: `trace_out` was written
};

/// The image's cache in the store: one that is there and agrees with the base in samples, or else a new one.
/// Of many launches at once one builds and the others wait for it. A cache that disagrees with its base is
/// discarded and built anew.
FoundCache build_or_find(const BuildRequest& request, const BuildProgress& progress = {});

/// The image's cache in the store, as build_or_find() would look for it; nothing is built, and the base is
/// not read.
std::optional<fs::path> find_stored(const BuildRequest& request);

}  // namespace vmi
