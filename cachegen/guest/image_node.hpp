// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace vmi {

/// The protocol-level -blockdev node (no format, no node-name) of an image that is named by a path or by a
/// URL: nbd://, nbd+unix://, http(s)://, ftp(s)://, nfs://, ssh://, or "json:{...}", a node object as QEMU
/// takes it. -blockdev itself takes no URLs, only their parts. Throws Error(usage) for other schemes and
/// malformed URLs.
nlohmann::json image_node(const std::string& url_or_path);

/// Takes the percent escapes out (RFC 3986, 2.1).
std::string percent_decoded(std::string_view text);

}  // namespace vmi
