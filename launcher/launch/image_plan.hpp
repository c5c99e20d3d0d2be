// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"

#include <chrono>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

/// One image of the launch, as rank 0 found it and told all ranks.
struct ImagePlan {
  int index = 0;
  std::string url;     ///< as QEMU opens it
  std::string format;  ///< of the base
  Bytes virtual_bytes = 0;
  std::string identity;  ///< image_identity() (cachegen/store/registry.hpp)

  /// The file that goes to the nodes: the boot cache, or with --cache full the image itself; empty: neither.
  fs::path payload;
  std::string digest;  ///< of the payload
  Bytes payload_bytes = 0;
  Bytes metadata_bytes = 0;  ///< prefix of the payload that suffices to open it

  std::vector<std::uint64_t> hashes;  ///< chunk_hashes() of the payload; on rank 0, not told
  bool single_local_file = false;     ///< the image is one file on rank 0's node; not told
};

/// How long a launch waits for the images' payloads to reach its nodes: a link of 1 MiB/s is the slowest.
std::chrono::seconds time_to_send(const std::vector<ImagePlan>& images);

void to_json(nlohmann::json& json, const ImagePlan& image);
void from_json(const nlohmann::json& json, ImagePlan& image);

}  // namespace vmi
