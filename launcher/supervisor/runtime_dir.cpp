// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/runtime_dir.hpp"

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/log.hpp"
#include "cachegen/support/owner.hpp"
#include "cachegen/support/socket.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <sstream>

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmi {
namespace {

constexpr std::string_view kPrefix = "vmilaunch-run-";
constexpr std::size_t kRandomLetters = 6;  // of mkdtemp(3)
/// The longest path below a runtime folder that a socket gets, its own random name included: libvirt's
/// monitor of a domain, "vmilaunch-run-XXXXXX/libvirt/lib/qemu/domain-NNNN-<20 letters>/monitor.sock".
constexpr std::size_t kLongestBelowRoot = 84;
/// Less than this is too little for the sockets, logs and libvirt's files of a launch (0.3 MiB with two VMs).
constexpr Bytes kLeastRoom = 4 * MiB;
/// A folder without `owner` is either just being made or half removed; after this long it is the latter.
constexpr std::time_t kOwnerlessSeconds = 60;

bool owned_by_us(const fs::path& path, struct stat& info) {
  return lstat(path.c_str(), &info) == 0 && info.st_uid == geteuid();
}

/// Other folders of this program have names that begin alike, --node-dir's default among them.
bool is_our_name(const std::string& name) {
  return name.starts_with(kPrefix) && name.size() == kPrefix.size() + kRandomLetters &&
         std::ranges::all_of(name.substr(kPrefix.size()),
                             [](unsigned char c) { return std::isalnum(c) != 0; });
}

/// Memory file systems may be full, or of a size that a container's author forgot.
bool is_usable(const fs::path& root) {
  return access(root.c_str(), W_OK | X_OK) == 0 && free_bytes(root) >= kLeastRoom;
}

bool is_locked(const fs::path& folder) {
  const Fd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  // File systems without flock leave it at the owner's word.
  return !fd || (flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK);
}

bool is_stale(const fs::path& folder, const struct stat& info) {
  const std::optional<Owner> owner = read_owner(folder);
  if (owner && owner->state() != Owner::State::dead) return false;
  if (!owner && std::time(nullptr) - info.st_mtime <= kOwnerlessSeconds) return false;
  return !is_locked(folder);
}

std::vector<std::string> lines_of(const fs::path& file) {
  std::vector<std::string> lines;
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return lines;
  std::istringstream text(read_text(file));
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

bool runs_in(const std::string& pid, const fs::path& folder, const std::vector<std::string>& emulators) {
  std::error_code error;
  const std::string program = fs::read_symlink("/proc/" + pid + "/exe", error).string();
  if (error || std::ranges::find(emulators, program) == emulators.end()) return false;
  const Fd file(open(("/proc/" + pid + "/cmdline").c_str(), O_RDONLY | O_CLOEXEC));
  std::string arguments;
  char buffer[16384];
  for (ssize_t n = 0; file && (n = read(file.get(), buffer, sizeof buffer)) > 0;)
    arguments.append(buffer, static_cast<std::size_t>(n));
  return arguments.find(folder.string() + "/") != std::string::npos;
}

}  // namespace

RuntimeDir::RuntimeDir(const fs::path& root) : folder_(root, kPrefix) {
  lock_ = open_file(path(), O_RDONLY | O_DIRECTORY);
  flock(lock_.get(), LOCK_EX | LOCK_NB);  // nobody else has it; file systems without flock do without
  write_owner(path());
}

void RuntimeDir::note_emulator(const fs::path& emulator) {
  const std::string real = fs::canonical(emulator).string();
  if (std::ranges::find(emulators_, real) != emulators_.end()) return;
  emulators_.push_back(real);
  std::string text;
  for (const std::string& line : emulators_) text += line + "\n";
  write_text_atomically(path() / "emulators", text);
}

int kill_emulators_in(const fs::path& folder, const std::vector<std::string>& emulators) {
  if (emulators.empty() || folder.empty()) return 0;
  int killed = 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    int pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc{}) continue;
    // The descriptor comes first, so that what is looked at below is what is killed.
    const Fd pidfd = open_pidfd(pid);
    if (!pidfd || !runs_in(name, folder, emulators)) continue;
    pidfd_kill(pidfd, SIGKILL);
    wait_fd(pidfd.get(), POLLIN, Deadline::after(std::chrono::seconds(5)));
    ++killed;
  }
  return killed;
}

fs::path default_runtime_root() {
  const char* xdg = std::getenv("XDG_RUNTIME_DIR");
  const std::vector<fs::path> candidates = {"/dev/shm", xdg != nullptr ? xdg : "", temp_root()};
  for (const fs::path& root : candidates) {
    if (root.empty() || root.native().size() + 1 + kLongestBelowRoot > kMaxSocketPath) continue;
    if (is_usable(root)) return root;
  }
  throw Error(ExitStatus::environment,
              "no folder for sockets: none of /dev/shm, $XDG_RUNTIME_DIR and TMPDIR can be written to, "
              "has " +
                  format_size(kLeastRoom) + " free and a name of at most " +
                  std::to_string(kMaxSocketPath - 1 - kLongestBelowRoot) +
                  " characters (socket paths are limited); set TMPDIR to one that does");
}

SweepResult sweep_stale(const fs::path& root) noexcept {
  SweepResult result;
  try {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(root, error)) {
      const std::string name = entry.path().filename();
      struct stat info {};
      if (!is_our_name(name) || !owned_by_us(entry.path(), info) || !S_ISDIR(info.st_mode) ||
          !is_stale(entry.path(), info))
        continue;
      const int killed = kill_emulators_in(entry.path(), lines_of(entry.path() / "emulators"));
      if (killed > 0)
        log_warning("killed " + std::to_string(killed) + " VMs that a dead launch left (" +
                    entry.path().string() + ")");
      result.processes += killed;
      fs::remove_all(entry.path(), error);
      if (error)
        log_warning("cannot remove '" + entry.path().string() +
                    "', left by a dead launch: " + error.message());
      if (!error) ++result.folders;
    }
  } catch (const std::exception& problem) {
    log_warning("cannot sweep '" + root.string() + "': " + problem.what());
  }
  return result;
}

}  // namespace vmi
