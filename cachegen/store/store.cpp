// SPDX-License-Identifier: Apache-2.0
// Names in the folder: KEY.vmic the cache, KEY.used an empty file whose mtime is the cache's last use,
// KEY.claim a build that is under way (claim.hpp), KEY.build-XXXXXX its temporary folder. Whoever finds
// KEY.vmic needs none of the others.
#include "cachegen/store/store.hpp"

#include "cachegen/cache/cache_file.hpp"
#include "cachegen/store/claim.hpp"
#include "cachegen/support/folder.hpp"
#include "cachegen/support/hash.hpp"
#include "cachegen/support/log.hpp"

#include <algorithm>
#include <cstdlib>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmi {
namespace {

constexpr const char* kCache = ".vmic";
constexpr const char* kUsed = ".used";
constexpr const char* kClaim = ".claim";
constexpr const char* kBuild = ".build-";
constexpr const char* kAbandoned = ".abandoned-";
constexpr const char* kClock = ".clock.";

fs::path in(const fs::path& folder, const std::string& key, const char* ending) {
  return folder / (key + ending);
}

/// Notes that a cache was used. A store that cannot be written is used all the same.
void touch(const fs::path& used) {
  const Fd fd(open(used.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (fd) futimens(fd.get(), nullptr);
}

std::int64_t mtime_ns(const fs::path& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return 0;
  return std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

std::int64_t last_use_ns(const fs::path& folder, const std::string& key) {
  return std::max(mtime_ns(in(folder, key, kUsed)), mtime_ns(in(folder, key, kCache)));
}

/// What a killed process left: a build without its claim, a claim renamed away, a look at the clock, the last
/// use of what is not there.
bool is_left_over(const fs::path& folder, const fs::path& path, std::chrono::milliseconds stale) {
  const std::string name = path.filename();
  std::error_code error;
  if (const std::size_t build = name.find(kBuild); build != std::string::npos) {
    return Claim::holder(in(folder, name.substr(0, build), kClaim)).empty();
  }
  if (name.find(kAbandoned) != std::string::npos) return true;
  if (name.starts_with(kClock)) return file_system_now(folder) - fs::last_write_time(path, error) > stale;
  return path.extension() == kUsed && !fs::exists(in(folder, path.stem(), kCache), error);
}

}  // namespace

std::string CacheKey::hash() const {
  const std::string text =
      nlohmann::json{{"image", BaseIdentity{image, ""}.to_json()}, {"parameters", parameters}}.dump();
  return hash128_hex(std::as_bytes(std::span(text.data(), text.size())));
}

Store::Store(fs::path folder, StoreTimes times) : folder_(std::move(folder)), times_(times) {
}

fs::path Store::default_folder() {
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg != '\0')
    return fs::path(xdg) / "vmilaunch/store";
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0')
    throw Error(ExitStatus::environment,
                "neither XDG_CACHE_HOME nor HOME is set; name the store with --cache-dir");
  return fs::path(home) / ".cache/vmilaunch/store";
}

fs::path Store::folder_for(const std::optional<std::string>& given) {
  if (given) return fs::absolute(*given);
  const char* variable = std::getenv("VMILAUNCH_CACHE_DIR");
  const bool said = variable != nullptr && *variable != '\0';
  return fs::absolute(said ? fs::path(variable) : default_folder());
}

std::optional<fs::path> Store::find(const CacheKey& key) const {
  std::string damage;
  std::optional<fs::path> found = look_up(key, damage);
  if (!damage.empty()) log_warning(damage + "; it counts as missing");
  return found;
}

std::optional<fs::path> Store::look_up(const CacheKey& key, std::string& damage) const {
  const std::string name = key.hash();
  const fs::path path = in(folder_, name, kCache);
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  // Noted before it is opened: who evicts looks at this once more before it removes.
  touch(in(folder_, name, kUsed));
  try {
    if (CacheFile::open(path).sealed()) return path;
    damage = "cache '" + path.string() + "' was opened for writing since it was made";
  } catch (const Error& failure) {
    if (fs::exists(path, error)) damage = failure.what();  // else it was evicted between two looks
  }
  return std::nullopt;
}

fs::path Store::find_or_build(const CacheKey& key, const Builder& builder, Deadline deadline,
                              const Progress& progress) {
  const std::string name = key.hash();
  const fs::path claim_path = in(folder_, name, kClaim);
  if (const std::optional<fs::path> found = find(key)) return *found;
  std::string damage;  // said once, above
  while (true) {
    if (const std::optional<fs::path> found = look_up(key, damage)) return *found;
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error)
      throw Error(ExitStatus::environment, "cannot make the store '" + folder_.string() +
                                               "': " + error.message() + "; name another with --cache-dir");

    if (const std::optional<Claim> claim = Claim::take(claim_path, times_.heartbeat)) {
      // Between our look and our claim another may have finished.
      if (const std::optional<fs::path> found = look_up(key, damage)) return *found;
      const TempFolder temporary(folder_, name + kBuild);
      const fs::path output = temporary.path() / ("new" + std::string(kCache));
      builder(output);
      rename_durably(output, in(folder_, name, kCache));
      touch(in(folder_, name, kUsed));
      return in(folder_, name, kCache);
    }
    if (Claim::clear_if_abandoned(claim_path, times_.stale)) continue;
    const std::string holder = Claim::holder(claim_path);
    if (progress && !holder.empty()) progress("waiting for " + holder + ", which builds it");
    if (deadline.passed()) {
      throw Error(ExitStatus::timed_out,
                  "waited too long for " + holder + ", which builds the boot cache of '" + key.image.url +
                      "' in '" + folder_.string() + "'; if it is gone, remove '" + claim_path.string() + "'");
    }
    // Another host says nothing when it is done: its file appears.
    poll(nullptr, 0, std::min(deadline.poll_ms(), static_cast<int>(times_.poll.count())));
  }
}

void Store::discard(const CacheKey& key) {
  std::error_code error;
  fs::remove(in(folder_, key.hash(), kCache), error);
  fs::remove(in(folder_, key.hash(), kUsed), error);
}

std::vector<StoreEntry> Store::list() const {
  std::vector<StoreEntry> entries;
  std::vector<StoreEntry> building;
  for (const fs::path& path : paths_in(folder_)) {
    StoreEntry entry;
    entry.key = path.stem();
    entry.path = path;
    if (path.extension() == kCache) {
      std::error_code error;
      entry.file_bytes = fs::file_size(path, error);
      if (error) continue;  // evicted meanwhile
      entry.last_use_ns = last_use_ns(folder_, entry.key);
      try {
        const CacheFile cache = CacheFile::open(path);
        entry.image_url = cache.backing_name();
        entry.virtual_bytes = cache.virtual_bytes();
        entry.cached_bytes = cache.cached_bytes();
      } catch (const Error& damage) {
        log_warning(damage.what());
      }
      entries.push_back(std::move(entry));
    } else if (path.extension() == kClaim) {
      entry.builder = Claim::holder(path);
      entry.path = in(folder_, entry.key, kCache);
      if (!entry.builder.empty()) building.push_back(std::move(entry));
    }
  }
  std::ranges::sort(entries, std::ranges::greater(), &StoreEntry::last_use_ns);
  entries.insert(entries.end(), building.begin(), building.end());
  return entries;
}

Store::Evicted Store::gc(Bytes most_bytes) {
  for (const fs::path& path : paths_in(folder_)) {
    std::error_code error;
    if (path.extension() == kClaim) Claim::clear_if_abandoned(path, times_.stale);
    if (is_left_over(folder_, path, times_.stale)) fs::remove_all(path, error);
  }
  Evicted result;
  bool full = false;
  for (StoreEntry& entry : list()) {
    if (!entry.builder.empty()) continue;
    // Once one did not fit, the ones used before it go too: eviction is by last use alone.
    full = full || result.kept_bytes + entry.file_bytes > most_bytes;
    if (!full) {
      result.kept_bytes += entry.file_bytes;
      continue;
    }
    if (last_use_ns(folder_, entry.key) != entry.last_use_ns) {  // somebody has just found it
      result.kept_bytes += entry.file_bytes;
      continue;
    }
    std::error_code error;
    fs::remove(entry.path, error);
    if (error) {
      log_warning("cannot evict '" + entry.path.string() + "': " + error.message());
      result.kept_bytes += entry.file_bytes;
      continue;
    }
    fs::remove(in(folder_, entry.key, kUsed), error);
    result.bytes += entry.file_bytes;
    result.entries.push_back(std::move(entry));
  }
  return result;
}

}  // namespace vmi
