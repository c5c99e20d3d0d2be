// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/image_plan.hpp"

namespace vmi {

std::chrono::seconds time_to_send(const std::vector<ImagePlan>& images) {
  Bytes bytes = 0;
  for (const ImagePlan& image : images) bytes += image.payload_bytes;
  return std::chrono::minutes(5) + std::chrono::seconds(bytes / MiB);
}

void to_json(nlohmann::json& json, const ImagePlan& image) {
  json = {{"index", image.index},
          {"url", image.url},
          {"format", image.format},
          {"virtual_bytes", image.virtual_bytes},
          {"identity", image.identity},
          {"payload", image.payload.string()},
          {"digest", image.digest},
          {"payload_bytes", image.payload_bytes},
          {"metadata_bytes", image.metadata_bytes}};
}

void from_json(const nlohmann::json& json, ImagePlan& image) {
  json.at("index").get_to(image.index);
  json.at("url").get_to(image.url);
  json.at("format").get_to(image.format);
  json.at("virtual_bytes").get_to(image.virtual_bytes);
  json.at("identity").get_to(image.identity);
  image.payload = json.at("payload").get<std::string>();
  json.at("digest").get_to(image.digest);
  json.at("payload_bytes").get_to(image.payload_bytes);
  json.at("metadata_bytes").get_to(image.metadata_bytes);
}

}  // namespace vmi
