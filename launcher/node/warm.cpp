// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/warm.hpp"

#include "cachegen/build.hpp"
#include "cachegen/cache/cache_file.hpp"
#include "cachegen/cache/verify.hpp"
#include "cachegen/store/registry.hpp"
#include "cachegen/support/interrupt.hpp"
#include "cachegen/support/log.hpp"
#include "launcher/node/node_pool.hpp"
#include "launcher/supervisor/runtime_dir.hpp"
#include "launcher/team/agreed.hpp"
#include "launcher/team/layout.hpp"
#include "launcher/team/target.hpp"

#include <fcntl.h>

namespace vmi {
namespace {

constexpr auto kInspectTime = std::chrono::seconds(60);

/// Whether a launch with these options reads a cache from the node's pool.
bool uses_the_pool(const LaunchOptions& options) {
  return options.cache->from_pool && options.placement == Placement::node;
}

CacheFile open_cache(const LaunchOptions& options, const std::string& image) {
  if (options.cache->takes_path) return CacheFile::open(options.cache_path);
  if (const std::optional<fs::path> found = find_stored(build_request(options, image)))
    return CacheFile::open(*found);
  throw Error(ExitStatus::unusable,
              "there is no cache of '" + image + "' in the store '" + options.cache_dir.string() +
                  "' for this machine type, readiness, quota and granularity; a launch with the same options "
                  "makes one");
}

/// A launch compares samples with the base on its first node. Here every checksum counts: the file is read
/// anyway.
void check(const CacheFile& cache) {
  const VerifyResult verified = verify_cache(cache.path(), nullptr, VerifyMode::full);
  if (verified.usable()) return;
  throw Error(ExitStatus::unusable, "cache '" + cache.path().string() +
                                        "' cannot be used: " + verified.summary() +
                                        "; build it anew with vmicache build, or remove it from the store");
}

Payload payload_of(const CacheFile& cache) {
  Payload payload{.name = cache.path().string(),
                  .size = cache.file_bytes(),
                  .metadata_bytes = cache.metadata_bytes(),
                  .hashes = cache.chunk_hashes()};
  payload.digest = digest_of(payload.hashes);
  return payload;
}

void copy_checked(const CacheFile& cache, const Payload& payload, Target& target) {
  std::vector<std::byte> chunk;
  for (std::size_t i = 0; i < payload.chunks(); ++i) {
    throw_if_interrupted();
    chunk.resize(payload.chunk_bytes(i));
    pread_all(cache.file(), chunk, payload.chunk_offset(i), cache.path());
    if (hash64(chunk) != payload.hashes[i])
      throw Error(ExitStatus::unusable,
                  payload.describe_chunk(i) + " has changed while it was copied; warm again");
    if (!payload.is_zero(i)) target.write(payload.chunk_offset(i), chunk);
  }
}

WarmCache warm_image(const LaunchOptions& options, const std::string& image, NodePool& pool) {
  const CacheFile cache = open_cache(options, image);
  const Payload payload = payload_of(cache);
  WarmCache result{.image = image, .digest = payload.digest, .bytes = payload.size};
  result.held = pool.holds(payload.digest, payload.size);
  if (result.held) return result;
  check(cache);
  pool.make_room(payload.bytes_to_write());
  // Removed by whoever sweeps, should this process be killed.
  const RuntimeDir scratch(options.node_dir);
  Target target(scratch.path() / (payload.digest + ".part"), payload);
  copy_checked(cache, payload, target);
  const auto publish = [&](const fs::path& name) { target.publish(name); };
  if (!pool.keep(target.path(), payload.digest, publish)) {
    throw Error(ExitStatus::environment, "'" + payload.name + "' does not fit within the node budget of " +
                                             format_size(pool.budget()) +
                                             " beside caches in use; raise --node-budget");
  }
  return result;
}

/// Tells the store that this node keeps them, as launches do, for who submits the next job.
void note_caches(const LaunchOptions& options, const std::vector<WarmCache>& caches, const NodePool& pool) {
  const Registry registry(options.cache_dir);
  const std::string node = own_node_key();
  for (const WarmCache& cache : caches) {
    const ImageInfo image = inspect_image(cache.image, Deadline::after(kInspectTime));
    registry.describe(
        {.name = cache.digest, .image = image.url, .identity = image_identity(image), .bytes = cache.bytes});
    registry.add(cache.digest, node, options.node_dir);
  }
  registry.correct(node, options.node_dir, [&](const std::string& cache) { return pool.has(cache); });
}

}  // namespace

std::vector<WarmCache> warm_node(const LaunchOptions& options) {
  if (!uses_the_pool(options)) {
    log_info("a launch with these options reads no cache from the node's pool: nothing to warm");
    return {};
  }
  sweep_stale(options.node_dir);
  NodePool pool(options.node_dir, options.node_budget);
  std::vector<WarmCache> caches;
  for (const ImageRequest& image : options.images) caches.push_back(warm_image(options, image.url, pool));
  pool.close();
  // What is noted are hints: a store that is only read is used all the same.
  if (const std::optional<Error> failure = attempt([&] { note_caches(options, caches, pool); }))
    log_info(failure->what());
  return caches;
}

std::string to_text(const std::vector<WarmCache>& caches) {
  std::string text;
  for (const WarmCache& cache : caches)
    text += cache.image + ": " + format_size(cache.bytes) + (cache.held ? ", held\n" : ", copied\n");
  return text;
}

void to_json(nlohmann::json& json, const WarmCache& cache) {
  json = {{"image", cache.image},
          {"digest", cache.digest},
          {"bytes", cache.bytes},
          {"source", cache.held ? "held" : "copied"}};
}

}  // namespace vmi
