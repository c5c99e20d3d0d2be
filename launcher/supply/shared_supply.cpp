// SPDX-License-Identifier: Apache-2.0
#include "launcher/supply/shared_supply.hpp"

#include <unistd.h>

namespace vmi {

using namespace std::chrono_literals;

SharedSupply::SharedSupply(const SupplySetting& setting, std::unique_ptr<CacheSupply> finder)
    : at_(setting), finder_(std::move(finder)) {
}

std::optional<Error> SharedSupply::bring(const Begin& begin) {
  for (const ImagePlan& image : at_.plan.images) {
    const std::optional<Error> failure = attempt([&] {
      if (at_.options.cache_url.empty()) {
        check_readable(image);
      } else if (at_.rank.first()) {
        check_served(image);
      }
      begin(image);
    });
    at_.rank.team().agree(failure, 120s, "opening the shared cache");
    if (!at_.rank.layout().leader) continue;
    NodeRow row;
    row.cache_source = "shared";
    row.wire_bytes = 0;
    row.payload_bytes = static_cast<std::int64_t>(image.payload_bytes);
    arrivals_.add(row);
  }
  arrivals_.post(at_.rank);
  return std::nullopt;
}

void SharedSupply::serve(const ImagePlan& image, VmSpec& vm) const {
  vm.cache = at_.options.cache_url.empty() ? image.payload.string() : at_.options.cache_url;
}

void SharedSupply::check_readable(const ImagePlan& image) const {
  if (access(image.payload.c_str(), R_OK) == 0) return;
  throw_errno(ExitStatus::unusable,
              "cannot read '" + image.payload.string() +
                  "', which --cache-placement shared needs on every node; use --cache-placement node");
}

void SharedSupply::check_served(const ImagePlan& image) {
  const std::string& url = at_.options.cache_url;
  const InspectedImage served =
      at_.rank.call(InspectImage{.url = url, .format = "raw"}, 60s, "its look at '" + url + "'");
  if (served.virtual_bytes == round_up(image.payload_bytes, 512)) return;  // QEMU counts sectors
  throw Error(ExitStatus::unusable, "'" + url + "' is not the cache '" + image.payload.string() +
                                        "': it has " + std::to_string(served.virtual_bytes) + " bytes, not " +
                                        std::to_string(image.payload_bytes) + "; serve that file there");
}

}  // namespace vmi
