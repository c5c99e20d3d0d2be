// SPDX-License-Identifier: Apache-2.0
#include "cachegen/store/claim.hpp"

#include "cachegen/support/log.hpp"
#include "cachegen/support/owner.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmi {
namespace {

/// A name beside `path` that no other process and no other thread uses.
fs::path unique_beside(const fs::path& path, const std::string& word) {
  static std::atomic<unsigned> count = 0;
  const Owner self = Owner::self();
  return path.string() + "." + word + "-" + self.host + "-" + std::to_string(self.pid) + "-" +
         std::to_string(count++);
}

}  // namespace

/// Touches the claim from a thread of its own.
struct Claim::Heart {
  Heart(fs::path claim, std::chrono::milliseconds every)
      : path(std::move(claim)), thread([this, every] { beat(every); }) {}
  Heart(const Heart&) = delete;
  Heart& operator=(const Heart&) = delete;
  ~Heart() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_all();
    thread.join();
    // Only what is still ours: another host may have cleared the claim and taken its own.
    const std::optional<Owner> owner = read_owner(path);
    std::error_code error;
    if (owner && owner->to_text() == Owner::self().to_text()) fs::remove_all(path, error);
    if (error) log_warning("cannot remove '" + path.string() + "': " + error.message());
  }

  void beat(std::chrono::milliseconds every) {
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, every, [this] { return stopping; })) {
      utimensat(AT_FDCWD, (path / "owner").c_str(), nullptr, 0);
    }
  }

  fs::path path;
  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;  // guarded by mutex
  std::thread thread;
};

Claim::Claim(std::unique_ptr<Heart> heart) : heart_(std::move(heart)) {
}
Claim::~Claim() = default;

std::optional<Claim> Claim::take(const fs::path& path, std::chrono::milliseconds heartbeat) {
  if (mkdir(path.c_str(), 0700) != 0) {
    if (errno == EEXIST) return std::nullopt;
    throw_errno(ExitStatus::environment, "cannot make '" + path.string() + "'");
  }
  try {
    write_owner(path);
  } catch (...) {
    std::error_code ignored;  // what kept the owner from being written is reported
    fs::remove_all(path, ignored);
    throw;
  }
  return Claim(std::make_unique<Heart>(path, heartbeat));
}

std::string Claim::holder(const fs::path& path) {
  const std::optional<Owner> owner = read_owner(path);
  if (owner) return owner->host + ":" + std::to_string(owner->pid);
  std::error_code error;
  return fs::exists(path, error) ? "somebody" : "";  // made a moment ago, or its owner file cannot be read
}

bool Claim::clear_if_abandoned(const fs::path& path, std::chrono::milliseconds stale) {
  std::error_code error;
  const std::optional<Owner> owner = read_owner(path);
  const fs::path touched = owner ? path / "owner" : path;
  const fs::file_time_type last = fs::last_write_time(touched, error);
  if (error) return false;  // it went meanwhile
  const bool dead = owner && owner->state() == Owner::State::dead;
  if (!dead && file_system_now(path.parent_path()) - last < stale) return false;
  // Of several who come to this conclusion one renames it away; a rename is atomic.
  const fs::path aside = unique_beside(path, "abandoned");
  if (rename(path.c_str(), aside.c_str()) != 0) return false;
  fs::remove_all(aside, error);
  return true;
}

fs::file_time_type file_system_now(const fs::path& folder) {
  const fs::path probe = unique_beside(folder / ".clock", "probe");
  open_file(probe, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  std::error_code error;
  const fs::file_time_type now = fs::last_write_time(probe, error);
  fs::remove(probe, error);
  return now;
}

}  // namespace vmi
