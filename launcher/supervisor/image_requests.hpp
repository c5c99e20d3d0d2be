// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supervisor/ipc/protocol.hpp"

#include <functional>
#include <string>

namespace vmi::supervisor {

// Requests about images and caches. They block, start processes (qemu-img, qemu-nbd, QEMU) and throw Error;
// each returns its reply's result.

InspectedImage inspect(const InspectImage& request);
/// `progress` may throw to end a profile.
FoundCache find_cache(const FindCache& request, const std::function<void(const std::string&)>& progress);
CacheVerdict verify(const VerifyCache& request,
                    const std::function<void(const std::string&, double)>& progress);

}  // namespace vmi::supervisor
