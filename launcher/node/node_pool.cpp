// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/node_pool.hpp"

#include "cachegen/support/folder.hpp"
#include "cachegen/support/hash.hpp"
#include "cachegen/support/log.hpp"

#include <algorithm>
#include <sstream>

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace vmi {
namespace {

using namespace std::chrono_literals;

/// Names in a pool change hands in milliseconds, and in seconds where a file has to be synced to a disk.
constexpr auto kLockPatience = 60s;
constexpr std::string_view kUsed = ".used";
constexpr std::string_view kFilled = "filled-";

[[noreturn]] void refuse(const fs::path& folder, const std::string& why) {
  throw Error(ExitStatus::environment,
              "node folder '" + folder.string() + "' " + why + "; name another with --node-dir");
}

void make_private_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder.parent_path(), error);
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    throw_errno(ExitStatus::environment,
                "cannot make the node folder '" + folder.string() + "'; name another with --node-dir");
  }
  struct stat info {};
  if (stat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) ||
      access(folder.c_str(), W_OK | X_OK) != 0) {
    refuse(folder, "is not a folder that can be written");
  }
  // Whoever owns a folder may put others in the place of those in it.
  if (info.st_uid != geteuid() && info.st_uid != 0)
    refuse(folder, "belongs to user " + std::to_string(info.st_uid) + ", not to you");
  if ((info.st_mode & S_IWOTH) != 0 && (info.st_mode & S_ISVTX) == 0)
    refuse(folder, "can be written by everybody");
}

void check_own_folder(const fs::path& folder) {
  struct stat info {};
  if (lstat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) refuse(folder, "is not a folder");
  if (info.st_uid != geteuid())
    refuse(folder, "belongs to user " + std::to_string(info.st_uid) + ", not to you");
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) refuse(folder, "can be written by others");
}

/// No file but a cache is ever evicted, whatever else a user keeps in a folder called `cache`.
bool is_cache_name(std::string_view name) {
  if (name.starts_with(kFilled)) name.remove_prefix(kFilled.size());
  return name.size() == 32 && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::int64_t mtime_ns(const struct stat& info) {
  return std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

/// A file of this user's that nobody else may write.
bool is_own_file(const struct stat& info) {
  return S_ISREG(info.st_mode) && info.st_uid == geteuid() && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

Bytes occupied(const struct stat& info) {
  return static_cast<Bytes>(info.st_blocks) * 512;
}

std::int64_t ctime_ns(const struct stat& info) {
  return std::int64_t{info.st_ctim.tv_sec} * 1'000'000'000 + info.st_ctim.tv_nsec;
}

/// Until a write would give the file another ctime: the clock of files ticks every few milliseconds.
void wait_for_next_tick(const struct stat& info) {
  timespec now{};
  for (int i = 0; i < 20; ++i) {
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec > ctime_ns(info)) return;
    poll(nullptr, 0, 1);
  }
}

}  // namespace

/// What was last found in a cache's file, "SIZE DIGEST CTIME_NS INODE" in NAME.used. Whoever writes to the
/// file changes its ctime, which cannot be set.
struct NodePool::Note {
  Bytes size = 0;
  std::string digest;
  std::int64_t ctime_ns = 0;
  std::uint64_t inode = 0;
  bool operator==(const Note&) const = default;
};

struct NodePool::Entry {
  std::string name;
  Bytes bytes = 0;
  std::int64_t last_use_ns = 0;
};

NodePool::NodePool(const fs::path& node_dir, std::optional<Bytes> budget) : folder_(node_dir / "cache") {
  make_private_folder(node_dir);
  make_private_folder(folder_);
  check_own_folder(folder_);
  budget_ = budget.value_or(default_budget(folder_));
}

Bytes NodePool::default_budget(const fs::path& folder) {
  struct statvfs info {};
  if (statvfs(folder.c_str(), &info) != 0)
    throw_errno(ExitStatus::environment, "cannot ask for the size of '" + folder.string() + "'");
  return std::min<Bytes>(Bytes{info.f_blocks} * info.f_frsize / 4, 4 * GiB);
}

fs::path NodePool::used_path(const std::string& name) const {
  return folder_ / (name + std::string(kUsed));
}

/// Nothing where the file system has no locks.
std::optional<Fd> NodePool::lock() const {
  Fd folder = open_file(folder_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  const Deadline deadline = Deadline::after(kLockPatience);
  while (flock(folder.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return std::nullopt;
    if (deadline.passed()) {
      throw Error(ExitStatus::timed_out, "another process has had '" + folder_.string() +
                                             "' locked for a minute; end it, or name another folder with "
                                             "--node-dir");
    }
    poll(nullptr, 0, 5);
  }
  return folder;
}

/// Called with the folder locked, as whatever else changes who uses what.
void NodePool::use(const std::string& name) {
  Fd used = open_file(used_path(name), O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  flock(used.get(), LOCK_SH | LOCK_NB);
  futimens(used.get(), nullptr);
  uses_[name] = std::move(used);
}

bool NodePool::in_use(const std::string& name) const {
  const Fd used(open(used_path(name).c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!used) return errno != ENOENT;
  return flock(used.get(), LOCK_EX | LOCK_NB) != 0;
}

bool NodePool::has(const std::string& name) const {
  struct stat info {};
  return lstat(path_of(name).c_str(), &info) == 0;
}

bool NodePool::holds(const std::string& digest, Bytes size) {
  {
    const std::optional<Fd> locked = lock();
    if (!has(digest)) return false;
    use(digest);
  }
  return check_content(digest, size, digest);
}

bool NodePool::holds_filled(const std::string& name) {
  {
    const std::optional<Fd> locked = lock();
    if (!has(name)) return false;
    use(name);
  }
  const Note note = note_of(name);
  return check_content(name, note.size, note.digest);
}

NodePool::Note NodePool::note_of(const std::string& name) const {
  const Fd& used = uses_.at(name);
  lseek(used.get(), 0, SEEK_SET);
  std::istringstream words(read_text(used, used_path(name)));
  Note note;
  words >> note.size >> note.digest >> note.ctime_ns >> note.inode;
  return note;
}

void NodePool::write_note(const std::string& name, const Note& note) {
  const std::string text = std::to_string(note.size) + " " + note.digest + " " +
                           std::to_string(note.ctime_ns) + " " + std::to_string(note.inode) + "\n";
  const Fd& used = uses_.at(name);
  if (ftruncate(used.get(), 0) != 0)
    throw_errno(ExitStatus::environment, "cannot write '" + used_path(name).string() + "'");
  pwrite_all(used, std::as_bytes(std::span(text)), 0, used_path(name));
}

/// What is in memory and has not been changed since it was last looked at is not read again: where 64 nodes
/// share a machine, that took longer than all else before their VMs ran.
bool NodePool::has_content(const std::string& name, const Fd& file, Bytes size, const std::string& digest) {
  struct stat info {};
  if (fstat(file.get(), &info) != 0 || !is_own_file(info) || static_cast<Bytes>(info.st_size) != size)
    return false;
  const Note noted = note_of(name);
  const Note now{size, digest, ctime_ns(info), info.st_ino};
  if (is_in_memory(folder_) && noted == now) return true;
  wait_for_next_tick(info);
  if (digest_of(chunk_hashes(file, size)) != digest) return false;
  write_note(name, now);
  return true;
}

bool NodePool::check_content(const std::string& name, Bytes size, const std::string& digest) {
  const fs::path path = path_of(name);
  const Fd file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (file && has_content(name, file, size, digest)) return true;
  const std::optional<Fd> locked = lock();
  uses_.erase(name);
  std::error_code error;
  // Another launch may have put a whole one in its place.
  if (!file || is_same_file(file, path)) {
    log_warning("'" + path.string() + "' is damaged; it is removed and made anew");
    fs::remove(path, error);
  }
  return false;
}

std::vector<NodePool::Entry> NodePool::entries() const {
  std::vector<Entry> entries;
  for (const fs::path& file : paths_in(folder_)) {
    const std::string name = file.filename();
    struct stat info {};
    if (!is_cache_name(name) || lstat(file.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    Entry entry{.name = name, .bytes = occupied(info), .last_use_ns = mtime_ns(info)};
    if (lstat(used_path(name).c_str(), &info) == 0) entry.last_use_ns = mtime_ns(info);
    entries.push_back(std::move(entry));
  }
  std::ranges::sort(entries, std::ranges::less(), &Entry::last_use_ns);
  return entries;
}

/// Makes room for `bytes` more, under the name `incoming`, within the budget. `free_wanted` is evicted for
/// only where that helps.
NodePool::Room NodePool::evict_for(const std::string& incoming, Bytes bytes, Bytes free_wanted) {
  std::vector<Entry> all = entries();
  std::erase_if(all, [&](const Entry& entry) { return entry.name == incoming; });
  Room room{.bytes = bytes};
  Bytes evictable = 0;
  for (const Entry& entry : all) {
    room.bytes += entry.bytes;
    if (!in_use(entry.name)) evictable += entry.bytes;
  }
  if (free_bytes(folder_) + evictable < free_wanted) free_wanted = 0;
  for (const Entry& entry : all) {
    if (room.bytes <= budget_ && free_bytes(folder_) >= free_wanted) break;
    if (in_use(entry.name)) continue;
    std::error_code error;
    fs::remove(path_of(entry.name), error);
    if (error) {
      log_warning("cannot evict '" + path_of(entry.name).string() + "': " + error.message());
      continue;
    }
    fs::remove(used_path(entry.name), error);
    log_info("evicted '" + path_of(entry.name).string() + "', " + format_size(entry.bytes));
    room.bytes -= entry.bytes;
    room.evicted = true;
  }
  return room;
}

/// Notes of use of what is not there: left by launches that were killed before they kept it.
void NodePool::sweep() const {
  for (const fs::path& file : paths_in(folder_)) {
    const std::string name = file.stem();
    std::error_code ignored;
    if (file.extension() == kUsed && is_cache_name(name) && !has(name) && !in_use(name))
      fs::remove(used_path(name), ignored);
  }
}

Bytes NodePool::room() const {
  Bytes room = free_bytes(folder_);
  if (const std::optional<Fd> locked = lock()) {
    for (const Entry& entry : entries()) room += in_use(entry.name) ? 0 : entry.bytes;
  }
  return room;
}

void NodePool::make_room(Bytes bytes) {
  if (const std::optional<Fd> locked = lock()) evict_for("", bytes <= budget_ ? bytes : 0, bytes);
}

bool NodePool::keep(const fs::path& file, const std::string& name, const Publish& publish) {
  struct stat info {};
  if (stat(file.c_str(), &info) != 0)
    throw_errno(ExitStatus::environment, "cannot keep '" + file.string() + "'");
  const Bytes size = static_cast<Bytes>(info.st_size);
  const std::string digest =
      name.starts_with(kFilled) ? digest_of(chunk_hashes(open_file(file, O_RDONLY), size)) : name;
  const std::optional<Fd> locked = lock();
  if (!locked || occupied(info) > budget_ || evict_for(name, occupied(info), 0).bytes > budget_) return false;
  use(name);
  publish(path_of(name));
  if (stat(path_of(name).c_str(), &info) != 0)
    throw_errno(ExitStatus::environment, "cannot look at '" + path_of(name).string() + "'");
  wait_for_next_tick(info);
  write_note(name, {size, digest, ctime_ns(info), info.st_ino});
  return true;
}

bool NodePool::close() {
  uses_.clear();
  const std::optional<Fd> locked = lock();
  if (!locked) return false;
  sweep();
  return evict_for("", 0, 0).evicted;
}

}  // namespace vmi
