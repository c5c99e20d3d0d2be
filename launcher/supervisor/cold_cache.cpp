// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/cold_cache.hpp"

#include "cachegen/cache/cache_writer.hpp"
#include "cachegen/cache/identity.hpp"
#include "cachegen/cache/verify.hpp"
#include "cachegen/support/hash.hpp"
#include "cachegen/support/log.hpp"

#include <algorithm>

namespace vmi::supervisor {
namespace {

constexpr auto kInspectTime = std::chrono::seconds(60);

fs::path kept_name(const OpenColdCache& request, const ImageInfo& image) {
  const nlohmann::json made_for = {{"base", BaseIdentity{image, {}}.to_json()},
                                   {"quota", request.quota},
                                   {"granularity", request.granularity}};
  const std::string text = made_for.dump();
  return fs::path(request.kept_folder) / ("filled-" + hash128_hex(std::as_bytes(std::span(text))));
}

/// Why the filled cache cannot be used with the image as it is now; empty: it can.
std::string objection(const fs::path& cache, const ImageInfo& image) {
  BaseReader base(image);
  const VerifyResult result = verify_cache(cache, &base, VerifyMode::sample);
  const auto found = std::ranges::find_if(result.findings, [](const Finding& finding) {
    // QEMU wrote it; that is what it was made for.
    return finding.fatal && finding.fault != Fault::written;
  });
  return found == result.findings.end() ? "" : found->text;
}

}  // namespace

ColdCache open_cold_cache(const OpenColdCache& request) {
  const ImageInfo image = inspect_image(request.image_url, Deadline::after(kInspectTime));
  const fs::path kept = kept_name(request, image);
  ColdCache result{.path = kept, .keep_as = kept, .filled = true};
  std::error_code none;
  if (fs::exists(kept, none)) {
    // Without modification times, only the content can tell.
    const bool look = request.sample || !image.mtime_ns;
    const std::string problem = request.reject ? "another node's does not agree with the image"
                                : look         ? objection(kept, image)
                                               : "";
    if (problem.empty()) return result;
    log_warning("the cache that an earlier launch filled on this node is dropped: " + problem);
    fs::remove(kept);
    result.rejected = true;
  }
  BaseReader base(image);
  write_cache({.image = image, .extents = {}, .quota = request.quota, .cluster_bytes = request.granularity},
              base, request.new_file);
  result.path = request.new_file;
  result.filled = false;
  return result;
}

}  // namespace vmi::supervisor
