// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/image.hpp"
#include "launcher/supervisor/ipc/protocol.hpp"

#include <functional>
#include <string>

#include <nlohmann/json.hpp>

namespace vmi::supervisor {

// Requests about images and caches. They block, start processes (qemu-img, qemu-nbd, QEMU) and throw Error;
// each returns its reply's result.

ImageInfo inspect(const InspectImage& request);
/// With `identity`: image_identity() (cachegen/store/registry.hpp).
nlohmann::json to_json(const ImageInfo& image);
/// `progress` may throw to end a profile.
nlohmann::json find_cache(const FindCache& request, const std::function<void(const std::string&)>& progress);
nlohmann::json verify(const VerifyCache& request,
                      const std::function<void(const std::string&, double)>& progress);

}  // namespace vmi::supervisor
