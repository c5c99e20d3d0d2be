// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/finding.hpp"
#include "cachegen/cache/qcow2_format.hpp"
#include "cachegen/cache/trailer.hpp"
#include "cachegen/support/file.hpp"

#include <optional>

namespace vmi {

/// A file taken apart as a boot cache, as far as that goes, with all that is wrong about header and trailer.
struct Inspection {
  fs::path path;
  Fd file;
  Bytes file_bytes = 0;
  std::optional<qcow2::FirstCluster> first;
  std::optional<CacheExtension> extension;
  std::optional<Trailer> trailer;  ///< when it is sound; for a file that was written, what it was made as
  bool sealed = false;             ///< the header says that the trailer is still true
  Findings findings;

  bool has(Fault fault) const;
};

/// Throws Error(environment or unusable) only for what cannot be opened or read.
Inspection inspect_cache(const fs::path& path);

/// True for what is, or damaged was, a boot cache.
bool is_boot_cache(const fs::path& path);

}  // namespace vmi
