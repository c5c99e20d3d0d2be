// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/image_requests.hpp"

#include "cachegen/cache/image.hpp"
#include "cachegen/cache/verify.hpp"
#include "cachegen/store/registry.hpp"

namespace vmi::supervisor {
namespace {

constexpr auto kInspectTime = std::chrono::seconds(60);

}  // namespace

InspectedImage inspect(const InspectImage& request) {
  const ImageInfo image = inspect_image(request.url, Deadline::after(kInspectTime), request.format);
  return {.url = image.url,
          .format = image.format,
          .virtual_bytes = image.virtual_bytes,
          .identity = image_identity(image),
          .single_local_file = image.local && image.backing_chain.empty()};
}

FoundCache find_cache(const FindCache& request, const std::function<void(const std::string&)>& progress) {
  return build_or_find(request.request, [&](const BuildStep& step) { progress(step.text); });
}

CacheVerdict verify(const VerifyCache& request,
                    const std::function<void(const std::string&, double)>& progress) {
  BaseReader base(inspect_image(request.image_url, Deadline::after(kInspectTime)));
  const VerifyResult result =
      verify_cache(request.cache, &base, request.full ? VerifyMode::full : VerifyMode::sample,
                   [&](Bytes done, Bytes total) {
                     progress("comparing the cache with the image",
                              total == 0 ? -1 : static_cast<double>(done) / static_cast<double>(total));
                   });
  CacheVerdict verdict;
  for (const Finding& finding : result.findings)
    (finding.fatal ? verdict.findings : verdict.warnings).push_back(finding.text);
  return verdict;
}

}  // namespace vmi::supervisor
