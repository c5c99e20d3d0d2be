// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/units.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vmi {

/// One file of an image: itself, or one of its backing files.
struct ImageLayer {
  std::string url;     ///< as QEMU takes it; local paths are absolute
  std::string format;  ///< qcow2, raw, ...
  Bytes virtual_bytes = 0;
  bool local = false;                    ///< a file or block device that this machine can open by its path
  Bytes file_bytes = 0;                  ///< st_size; 0 unless local
  Bytes disk_bytes = 0;                  ///< what it occupies; 0 unless local
  std::optional<std::int64_t> mtime_ns;  ///< nothing unless local
};

/// What QEMU says about an image.
struct ImageInfo : ImageLayer {
  std::vector<ImageLayer> backing_chain;  ///< nearest first; empty for an image without a backing file
};

/// Asks `qemu-img info` about a path or any URL that QEMU opens. `format` empty: probed.
/// Throws Error(unusable) when it cannot be opened or is nothing a guest can boot from, Error(timed_out) when
/// its server does not answer, Error(environment) without qemu-img.
ImageInfo inspect_image(const std::string& url_or_path, Deadline deadline, const std::string& format = {});

/// How to name an image to QEMU: an existing path or what has no protocol in front is made absolute, URLs
/// stay.
std::string image_url(const std::string& url_or_path);

/// True for what is opened by a path on this machine rather than by a protocol.
bool is_local_path(const std::string& url);

}  // namespace vmi
