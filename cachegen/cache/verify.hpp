// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/base_reader.hpp"
#include "cachegen/cache/finding.hpp"
#include "cachegen/support/file.hpp"

#include <cstdint>
#include <functional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace vmi {

enum class VerifyMode {
  sample,  ///< header, tables, trailer, identity, and kSampleClusters cached clusters against the base;
           ///< milliseconds
  full,    ///< every checksum, and with a base every cached byte against it
};
inline constexpr int kSampleClusters = 64;

struct VerifyResult {
  Findings findings;
  Bytes checked_bytes = 0;   ///< of the cache file, against its checksums
  Bytes compared_bytes = 0;  ///< of the image, with the base

  bool usable() const;          ///< no finding is fatal
  std::string summary() const;  ///< the fatal findings in one line, "; " between them; empty when usable
  nlohmann::json to_json() const;
};

/// Bytes done of bytes in all. May throw to stop the checking.
using VerifyProgress = std::function<void(Bytes done, Bytes total)>;

std::uint64_t random_seed();

/// Checks a cache, with its base when one is given. What is wrong with the cache or the base is a finding,
/// not an exception; Errors are for what kept us from looking (no such file, the base's server does not
/// answer). A base that compares equal wherever the cache has data is proof that the cache is right: in full
/// mode that turns `written` and `base_touched` into notes. Each call compares another sample, so that many
/// launches together see more of the cache than one, unless `seed` says which; it is logged.
VerifyResult verify_cache(const fs::path& path, BaseReader* base, VerifyMode mode,
                          const VerifyProgress& progress = {}, std::uint64_t seed = random_seed());

}  // namespace vmi
