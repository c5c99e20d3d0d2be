// SPDX-License-Identifier: Apache-2.0
// The store's cache of an image, or a new one: what `vmilaunch --cache auto` asks for.
#include "cachegen/build.hpp"
#include "cachegen/cache/verify.hpp"
#include "cachegen/guest/seed.hpp"
#include "cachegen/store/store.hpp"
#include "cachegen/support/hash.hpp"
#include "cachegen/support/log.hpp"

namespace vmi {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr auto kInspectPatience = 60s;
/// What a build takes beside its boots, for those who wait for it.
constexpr auto kWritePatience = 300s;

/// A file that the guest's boot depends on besides its disk, with what tells its versions apart.
json file_key(const std::string& path) {
  if (path.empty()) return nullptr;
  const auto written = fs::last_write_time(path).time_since_epoch();
  return {fs::absolute(path).string(), fs::file_size(path), std::chrono::nanoseconds(written).count()};
}

CacheKey cache_key(const BuildRequest& request, const ImageInfo& image) {
  CacheKey key{.image = image,
               .parameters = {{"disk_bus", to_text(request.guest.disk)},
                              {"machine", to_text(request.guest.machine)},
                              {"net", to_text(request.guest.net)},
                              {"firmware", file_key(request.guest.firmware)},
                              {"firmware_vars", file_key(request.guest.firmware_vars)},
                              {"kernel", file_key(request.guest.kernel)},
                              {"initrd", file_key(request.guest.initrd)},
                              {"append", request.guest.append},
                              {"ready", request.ready.to_text()},
                              {"settle_ms", request.settle.count()},
                              {"runs", request.runs},
                              {"granularity", request.granularity},
                              {"quota", request.quota}}};
  if (!request.guest.user_data.empty()) {
    const std::string text = read_user_data(request.guest.user_data);
    key.parameters["user_data"] = hash128_hex(std::as_bytes(std::span(text)));
  }
  return key;
}

/// Whether a cache of the store still agrees with the image; if not, it is discarded.
bool still_good(const fs::path& cache, const ImageInfo& image) {
  BaseReader base(image);
  const VerifyResult verified = verify_cache(cache, &base, VerifyMode::sample);
  if (!verified.usable()) log_warning("cache '" + cache.string() + "' is discarded: " + verified.summary());
  return verified.usable();
}

}  // namespace

FoundCache build_or_find(const BuildRequest& request, const BuildProgress& progress) {
  check_build(request);
  const ImageInfo image = inspect_image(request.image, Deadline::after(kInspectPatience));
  Store store(request.store.empty() ? Store::default_folder() : request.store);
  const CacheKey key = cache_key(request, image);
  if (const std::optional<fs::path> found = store.find(key)) {
    if (still_good(*found, image)) return {.path = *found, .built = false};
    store.discard(key);
  }
  FoundCache result;
  const auto build = [&](const fs::path& output) {
    build_cache(request, output, progress);
    result.built = true;
  };
  const auto wait = [&](const std::string& text) {
    if (progress) progress({.new_stage = false, .text = text});
  };
  const auto patience = request.runs * (request.timeout + request.settle) + kWritePatience;
  result.path = store.find_or_build(key, build, Deadline::after(patience), wait);
  return result;
}

std::optional<fs::path> find_stored(const BuildRequest& request) {
  check_build(request);
  const Store store(request.store.empty() ? Store::default_folder() : request.store);
  return store.find(cache_key(request, inspect_image(request.image, Deadline::after(kInspectPatience))));
}

}  // namespace vmi
