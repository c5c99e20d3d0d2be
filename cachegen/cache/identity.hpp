// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/image.hpp"

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace vmi {

/// What a cache remembers of the image it was made from.
struct BaseIdentity {
  ImageInfo image;
  std::string digest;  ///< of all files of a local chain, see digest_base(); empty where it was not cheap

  nlohmann::json to_json() const;
  static BaseIdentity from_json(const nlohmann::json& json);  ///< throws Error(unusable)
};

/// A base whose files occupy no more than this is digested as a whole. XXH3 runs at memory speed, so the cost
/// is that of reading: a second or two from a disk for what a profile boot (tens of seconds) is about to read
/// parts of anyway. Larger images, often on busy shared storage, are left to size, mtime and samples.
inline constexpr Bytes kDigestBaseLimit = 1 * GiB;

/// Digest over the files of `image` and its backing chain, holes skipped; empty when a layer is not local or
/// the whole is larger than `limit`.
std::string digest_base(const ImageInfo& image, Bytes limit = kDigestBaseLimit);

BaseIdentity identify_base(const ImageInfo& image);

struct BaseChanges {
  std::vector<std::string> certain;  ///< it is another image: format or size differ; one sentence each
  std::vector<std::string>
      touched;  ///< modification times differ, which content may refute; one sentence each
};

/// What differs between the image a cache was made from and the image as it is now. Its name and place do not
/// count.
BaseChanges compare_identity(const BaseIdentity& recorded, const ImageInfo& now);

}  // namespace vmi
