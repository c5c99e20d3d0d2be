// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace vmi {

/// What can be wrong with a cache or its base.
enum class Fault {
  not_a_cache,   ///< no boot cache, or none that can be recognised
  truncated,     ///< shorter than its header says
  extra_bytes,   ///< longer than its trailer says
  header,        ///< damaged: header, extensions, backing name or their padding
  refcounts,     ///< damaged
  l1_table,      ///< damaged
  l2_table,      ///< damaged
  data,          ///< damaged: cached data
  trailer,       ///< damaged
  structure,     ///< tables that point where they must not, or disagree with the trailer
  written,       ///< a QEMU opened it for writing, so its checksums no longer hold
  other_image,   ///< made from another image
  base_changed,  ///< the base's size, format or content is no longer what the cache holds
  base_touched,  ///< only modification time or file size of the base differ
};

/// "header", "base_changed", ...: as they stand in JSON.
const char* fault_name(Fault fault);

struct Finding {
  Fault fault = Fault::structure;
  std::string text;   ///< one sentence: thing, reason, place
  bool fatal = true;  ///< false: worth knowing, and the cache is right all the same
};
using Findings = std::vector<Finding>;

}  // namespace vmi
