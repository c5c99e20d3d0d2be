// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/image_requests.hpp"

#include "cachegen/cache/image.hpp"

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

nlohmann::json inspect(const InspectImage& request) {
  const ImageInfo image = inspect_image(request.url, Deadline::after(kInspectTime));
  nlohmann::json json = layer_json(image);
  json["backing_chain"] = nlohmann::json::array();
  for (const ImageLayer& layer : image.backing_chain) json["backing_chain"].push_back(layer_json(layer));
  return json;
}

nlohmann::json find_cache(const FindCache&, const std::function<void(const std::string&)>&) {
  throw Error(ExitStatus::environment,
              "--cache auto is not there yet; build a cache with vmicache build and give its path");
}

nlohmann::json verify(const VerifyCache&, const std::function<void(const std::string&, double)>&) {
  throw Error(ExitStatus::environment, "checking caches is not there yet; use --verify-cache none");
}

}  // namespace vmi::supervisor
