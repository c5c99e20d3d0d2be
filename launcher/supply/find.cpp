// SPDX-License-Identifier: Apache-2.0
#include "launcher/supply/find.hpp"

#include "cachegen/support/hash.hpp"
#include "cachegen/support/log.hpp"

namespace vmi {

using namespace std::chrono_literals;

Rank::Time time_to_find(const LaunchOptions& options) {
  return 2 * options.profile_runs * (options.timeout + 120s) + 300s;
}

void verify(const SupplySetting& setting, const fs::path& cache, const ImagePlan& image) {
  const VerifyCache request{cache.string(), image.url, setting.options.verify == VerifyChoice::full};
  const CacheVerdict verdict =
      setting.rank.call(request, time_to_find(setting.options), "the check of the boot cache");
  for (const std::string& warning : verdict.warnings) log_warning(warning);
  if (verdict.findings.empty()) return;
  throw Error(ExitStatus::unusable, "cache '" + cache.string() + "' cannot be used with image '" + image.url +
                                        "': " + verdict.findings.front() +
                                        "; build it anew with vmicache build, or use --cache auto");
}

BuildRequest request_for(const SupplySetting& setting, const ImagePlan& image) {
  BuildRequest request = build_request(setting.options, image.url);
  request.guest = setting.plan.guest;
  return request;
}

void take_cache(const SupplySetting& setting, const fs::path& path, ImagePlan& image) {
  const CacheFile cache = CacheFile::open(path);
  image.payload = path;
  image.hashes = cache.chunk_hashes();
  image.digest = digest_of(image.hashes);
  image.payload_bytes = cache.file_bytes();
  image.metadata_bytes = cache.metadata_bytes();
  if (cache.sealed()) {
    for (const std::string& difference : profile_differences(cache.facts(), request_for(setting, image))) {
      log_warning("cache '" + path.string() + "' is of a guest with " + difference +
                  "; what its VMs read besides comes from the image");
    }
  }
  ImageRow row;
  row.url = image.url;
  row.base_identity = cache.sealed() ? cache.base().digest : "";
  row.cache_digest = image.digest;
  row.cached_bytes = static_cast<std::int64_t>(cache.cached_bytes());
  row.file_bytes = static_cast<std::int64_t>(cache.file_bytes());
  row.quota = static_cast<std::int64_t>(cache.quota());
  setting.rank.reporter().image(row);
}

}  // namespace vmi
