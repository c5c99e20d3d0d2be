// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supervisor/ipc/protocol.hpp"

namespace vmi::supervisor {

/// See OpenColdCache. Filled caches are kept under a name made from what the image looks like (url, formats,
/// sizes, modification times), the quota and the granularity. Blocks, starts processes, throws Error.
ColdCache open_cold_cache(const OpenColdCache& request);

}  // namespace vmi::supervisor
