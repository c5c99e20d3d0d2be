// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/identity.hpp"
#include "cachegen/support/deadline.hpp"
#include "cachegen/support/file.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

/// What a cache in the store is for. Two launches that agree on all of it may share a cache.
struct CacheKey {
  ImageInfo image;            ///< as inspect_image() gives it now: name, size, format, mtime, chain
  nlohmann::json parameters;  ///< what changes what a boot reads, or what is kept of it: machine, firmware,
                              ///< disk bus, kernel arguments, granularity, quota, cluster size
  /// 32 hexadecimal digits; the file's name in the store.
  std::string hash() const;
};

struct StoreEntry {
  std::string key;
  fs::path path;
  std::string image_url;  ///< empty when the file cannot be read as a cache
  Bytes virtual_bytes = 0;
  Bytes cached_bytes = 0;
  Bytes file_bytes = 0;
  std::int64_t last_use_ns = 0;  ///< CLOCK_REALTIME of the store's file system
  std::string builder;           ///< "host:pid" while it is being built; then there is no file yet
};

struct StoreTimes {
  std::chrono::milliseconds heartbeat{5'000};  ///< how often a builder says that it lives
  std::chrono::milliseconds stale{120'000};    ///< a claim without a heartbeat for so long is taken over
  std::chrono::milliseconds poll{200};         ///< how often a waiter looks
};

/// A folder of caches shared by many launches, on any file system: docs/cache-format.md, "The store".
class Store {
 public:
  explicit Store(fs::path folder, StoreTimes times = {});
  /// ${XDG_CACHE_HOME:-$HOME/.cache}/vmilaunch/store
  static fs::path default_folder();
  /// Where the store is, for every command: where the user says (`--cache-dir`), else $VMILAUNCH_CACHE_DIR,
  /// else the default. Absolute.
  static fs::path folder_for(const std::optional<std::string>& given);

  const fs::path& folder() const { return folder_; }

  /// The cache under that key, and notes its use. Takes no lock. A damaged file counts as missing, with a
  /// warning.
  std::optional<fs::path> find(const CacheKey& key) const;

  /// Writes the cache to `output`, which does not exist yet.
  using Builder = std::function<void(const fs::path& output)>;
  /// Called now and then while another launch builds; "waiting for node7:4711, which builds it". May throw.
  using Progress = std::function<void(const std::string& text)>;

  /// The cache under that key, built by us or by whoever was first. Throws Error(timed_out) that names whom
  /// it waited for, and whatever `builder` throws.
  fs::path find_or_build(const CacheKey& key, const Builder& builder, Deadline deadline,
                         const Progress& progress = {});

  /// Forgets the cache under that key: its base has changed although nothing in the key shows it.
  void discard(const CacheKey& key);

  /// Newest use first; builds in progress last.
  std::vector<StoreEntry> list() const;

  struct Evicted {
    std::vector<StoreEntry> entries;
    Bytes bytes = 0;
    Bytes kept_bytes = 0;
  };
  /// Evicts whole caches, least recently used first, until the rest fits; and clears what killed builders
  /// left.
  Evicted gc(Bytes most_bytes);

 private:
  /// As find(), and says what is wrong with a file that is there and of no use.
  std::optional<fs::path> look_up(const CacheKey& key, std::string& damage) const;

  fs::path folder_;
  StoreTimes times_;
};

}  // namespace vmi
