// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cachegen/cache/base_reader.hpp"
#include "cachegen/support/file.hpp"

namespace vmi {

/// What verify_cache() can find.
enum class Fault {
  not_a_cache,      ///< no boot cache, or its header cannot be read at all
  truncated,        ///< shorter than its header says
  extra_bytes,      ///< longer than its trailer says
  header,           ///< damaged: header, extensions, backing name or their padding
  refcounts,        ///< damaged
  l1_table,         ///< damaged
  l2_table,         ///< damaged
  data,             ///< damaged: cached data
  trailer,          ///< damaged
  structure,        ///< tables that point where they must not, or disagree with the order
  written,          ///< a QEMU opened it for writing, so its checksums no longer hold
  other_image,      ///< made from an image of another size or format
  base_changed,     ///< content of the base differs from the cache
  base_touched,     ///< only the base's modification time differs
};

struct Finding {
  Fault fault;
  bool fatal = true;  ///< false: worth knowing, and the cache is right all the same
  std::string text;   ///< one sentence: thing, reason, place
};

enum class VerifyMode {
  sample,  ///< header, extension, trailer, identity, and kSampleClusters cached clusters against the base; milliseconds
  full,    ///< every checksum, and with a base every cached byte against it
};
inline constexpr int kSampleClusters = 64;

struct VerifyResult {
  std::vector<Finding> findings;
  Bytes checked_bytes = 0;   ///< of the cache file
  Bytes compared_bytes = 0;  ///< with the base
  bool usable() const;
  /// "ok", or the fatal findings joined: one line that says why the cache is refused.
  std::string summary() const;
  nlohmann::json to_json() const;
};

using VerifyProgress = std::function<void(Bytes done, Bytes total)>;

/// Checks a cache, with its base when one is given. What is wrong with the cache is a finding, not an exception; Errors are
/// for what kept us from looking (no such file, the base's server does not answer).
VerifyResult verify_cache(const fs::path& path, BaseReader* base, VerifyMode mode, const VerifyProgress& progress = {});

const char* fault_name(Fault fault);

}  // namespace vmi
