// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/stale.hpp"

#include "cachegen/support/folder.hpp"
#include "cachegen/support/log.hpp"
#include "cachegen/support/owner.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace vmi {
namespace {

/// Processes of another pid namespace look dead from here, but hold their lock.
bool is_locked(const fs::path& folder) {
  const Fd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd && flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace

Fd stamp_folder(const fs::path& folder) {
  Fd lock = open_file(folder, O_RDONLY | O_DIRECTORY);
  flock(lock.get(), LOCK_EX | LOCK_NB);  // a file system without locks leaves the owner's stamp
  write_owner(folder);
  return lock;
}

int remove_stale_folders(const fs::path& parent, std::string_view prefix) {
  int removed = 0;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(parent, error)) {
    if (!entry.path().filename().string().starts_with(prefix) || !is_own_folder(entry.path())) continue;
    const std::optional<Owner> owner = read_owner(entry.path());
    if (!owner || owner->state() != Owner::State::dead || is_locked(entry.path())) continue;
    fs::remove_all(entry.path(), error);
    if (error) {
      log_warning("cannot remove '" + entry.path().string() +
                  "', which a killed process left: " + error.message());
    } else {
      ++removed;
    }
  }
  return removed;
}

}  // namespace vmi
