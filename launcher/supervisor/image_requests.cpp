// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/image_requests.hpp"

#include "cachegen/build.hpp"
#include "cachegen/cache/image.hpp"
#include "cachegen/cache/verify.hpp"
#include "cachegen/store/registry.hpp"

namespace vmi::supervisor {
namespace {

constexpr auto kInspectTime = std::chrono::seconds(60);

nlohmann::json layer_json(const ImageLayer& layer) {
  nlohmann::json json = {
      {"url", layer.url},     {"format", layer.format},         {"virtual_bytes", layer.virtual_bytes},
      {"local", layer.local}, {"file_bytes", layer.file_bytes}, {"disk_bytes", layer.disk_bytes}};
  if (layer.mtime_ns) json["mtime_ns"] = *layer.mtime_ns;
  return json;
}

}  // namespace

ImageInfo inspect(const InspectImage& request) {
  return inspect_image(request.url, Deadline::after(kInspectTime), request.format);
}

nlohmann::json to_json(const ImageInfo& image) {
  nlohmann::json json = layer_json(image);
  json["identity"] = image_identity(image);
  json["backing_chain"] = nlohmann::json::array();
  for (const ImageLayer& layer : image.backing_chain) json["backing_chain"].push_back(layer_json(layer));
  return json;
}

nlohmann::json find_cache(const FindCache& request, const std::function<void(const std::string&)>& progress) {
  const FoundCache found = build_or_find(build_request_from_json(request.request),
                                         [&](const BuildStep& step) { progress(step.text); });
  return {{"path", found.path.string()}, {"built", found.built}};
}

nlohmann::json verify(const VerifyCache& request,
                      const std::function<void(const std::string&, double)>& progress) {
  BaseReader base(inspect_image(request.image_url, Deadline::after(kInspectTime)));
  const VerifyResult result =
      verify_cache(request.cache, &base, request.full ? VerifyMode::full : VerifyMode::sample,
                   [&](Bytes done, Bytes total) {
                     progress("comparing the cache with the image",
                              total == 0 ? -1 : static_cast<double>(done) / static_cast<double>(total));
                   });
  nlohmann::json json = {{"findings", nlohmann::json::array()}, {"warnings", nlohmann::json::array()}};
  for (const Finding& finding : result.findings)
    json[finding.fatal ? "findings" : "warnings"].push_back(finding.text);
  return json;
}

}  // namespace vmi::supervisor
