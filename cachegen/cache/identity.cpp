// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/identity.hpp"

#include "cachegen/cache/bytes.hpp"
#include "cachegen/support/file.hpp"
#include "cachegen/support/hash.hpp"

#include <ctime>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace vmi {
namespace {

nlohmann::json layer_to_json(const ImageLayer& layer) {
  nlohmann::json json = {
      {"url", layer.url}, {"format", layer.format}, {"virtual_bytes", layer.virtual_bytes}};
  if (layer.local) json["file_bytes"] = layer.file_bytes;
  if (layer.mtime_ns) json["mtime_ns"] = *layer.mtime_ns;
  return json;
}

void layer_from_json(const nlohmann::json& json, ImageLayer& layer) {
  json.at("url").get_to(layer.url);
  json.at("format").get_to(layer.format);
  json.at("virtual_bytes").get_to(layer.virtual_bytes);
  layer.local = json.contains("file_bytes");
  layer.file_bytes = json.value("file_bytes", Bytes{0});
  if (json.contains("mtime_ns")) layer.mtime_ns = json.at("mtime_ns").get<std::int64_t>();
}

/// Adds the chunk hashes of one file; a chunk that lies in a hole is not read.
void hash_file(const ImageLayer& layer, std::vector<std::uint64_t>& hashes) {
  const Fd file = open_file(layer.url, O_RDONLY, 0, ExitStatus::unusable);
  std::vector<std::byte> chunk(kDigestChunk);
  const std::uint64_t hole = hash64(chunk);
  off_t data = 0;  // no data from the current position up to here
  for (Bytes at = 0; at < layer.file_bytes; at += kDigestChunk) {
    const std::span<std::byte> part(chunk.data(), std::min(kDigestChunk, layer.file_bytes - at));
    if (static_cast<Bytes>(data) <= at) {
      data = lseek(file.get(), static_cast<off_t>(at), SEEK_DATA);
      if (data < 0) data = errno == ENXIO ? static_cast<off_t>(layer.file_bytes) : static_cast<off_t>(at);
    }
    if (static_cast<Bytes>(data) >= at + kDigestChunk) {
      hashes.push_back(hole);
    } else {
      pread_all(file, part, at, layer.url);
      hashes.push_back(hash64(part));
      data = static_cast<off_t>(at);  // look again at the next chunk
    }
  }
}

std::string time_text(std::int64_t ns) {
  const std::time_t seconds = ns / 1'000'000'000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[40];
  const std::size_t used = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%03dZ", static_cast<int>(ns % 1'000'000'000 / 1'000'000));
  return std::string(text, used) + fraction;
}

void compare_layer(const ImageLayer& recorded, const ImageLayer& now, BaseChanges& changes) {
  const std::string name = "'" + now.url + "'";
  if (recorded.virtual_bytes != now.virtual_bytes) {
    changes.certain.push_back(name + " has " + std::to_string(now.virtual_bytes) +
                              " bytes and the cache was made from an image of " +
                              std::to_string(recorded.virtual_bytes));
  }
  // What a server offers as raw may be any format behind it, so formats are compared between local files
  // only.
  if (!recorded.local || !now.local) return;
  if (recorded.format != now.format) {
    changes.certain.push_back(name + " is of format " + now.format + " and the cache was made from " +
                              recorded.format);
  }
  if (recorded.mtime_ns && now.mtime_ns && *recorded.mtime_ns != *now.mtime_ns) {
    changes.touched.push_back(name + " was last modified at " + time_text(*now.mtime_ns) + ", and at " +
                              time_text(*recorded.mtime_ns) + " when the cache was made");
  } else if (recorded.file_bytes != now.file_bytes) {
    changes.touched.push_back("the file " + name + " has " + std::to_string(now.file_bytes) +
                              " bytes, and had " + std::to_string(recorded.file_bytes) +
                              " when the cache was made");
  }
}

}  // namespace

nlohmann::json BaseIdentity::to_json() const {
  nlohmann::json json = layer_to_json(image);
  for (const ImageLayer& layer : image.backing_chain) json["backing_chain"].push_back(layer_to_json(layer));
  if (!digest.empty()) json["digest"] = digest;
  return json;
}

BaseIdentity BaseIdentity::from_json(const nlohmann::json& json) {
  BaseIdentity identity;
  try {
    layer_from_json(json, identity.image);
    for (const auto& item : json.value("backing_chain", nlohmann::json::array())) {
      layer_from_json(item, identity.image.backing_chain.emplace_back());
    }
    identity.digest = json.value("digest", "");
  } catch (const nlohmann::json::exception& error) {
    throw Error(ExitStatus::unusable, std::string("the base's identity is not understood: ") + error.what());
  }
  return identity;
}

std::string digest_base(const ImageInfo& image, Bytes limit) {
  std::vector<const ImageLayer*> layers = {&image};
  for (const ImageLayer& layer : image.backing_chain) layers.push_back(&layer);
  Bytes total = 0;
  for (const ImageLayer* layer : layers) {
    total += layer->disk_bytes;
    // Without a modification time it is a block device, whose size and changes its node does not tell.
    if (!layer->local || !layer->mtime_ns || total > limit) return {};
  }
  std::vector<std::uint64_t> hashes;
  for (const ImageLayer* layer : layers) hash_file(*layer, hashes);
  return digest_of(hashes);
}

BaseIdentity identify_base(const ImageInfo& image) {
  return {image, digest_base(image)};
}

BaseChanges compare_identity(const BaseIdentity& recorded, const ImageInfo& now) {
  BaseChanges changes;
  compare_layer(recorded.image, now, changes);
  const auto& then_chain = recorded.image.backing_chain;
  if (!recorded.image.local || !now.local) return changes;
  if (then_chain.size() != now.backing_chain.size()) {
    changes.certain.push_back("'" + now.url + "' has " + std::to_string(now.backing_chain.size()) +
                              " backing files, and had " + std::to_string(then_chain.size()) +
                              " when the cache was made");
    return changes;
  }
  for (std::size_t i = 0; i < then_chain.size(); ++i)
    compare_layer(then_chain[i], now.backing_chain[i], changes);
  return changes;
}

}  // namespace vmi
