// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/file.hpp"

#include "cachegen/support/log.hpp"

#include <cstdio>
#include <cstdlib>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace vmi {
namespace {

void sync_folder(const fs::path& folder) {
  const Fd fd = open_file(folder.empty() ? fs::path(".") : folder, O_RDONLY | O_DIRECTORY);
  // Some network file systems refuse fsync on folders; the rename is then as durable as they make it.
  if (fsync(fd.get()) != 0 && errno != EINVAL && errno != EBADF && errno != ENOTSUP) {
    throw_errno(ExitStatus::environment, "cannot sync folder '" + folder.string() + "'");
  }
}

}  // namespace

Fd open_file(const fs::path& path, int flags, unsigned mode, ExitStatus status) {
  Fd fd(open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd) {
    const int error_number = errno;
    throw_errno(
        status,
        std::string((flags & O_CREAT) != 0 ? "cannot create '" : "cannot open '") + path.string() + "'",
        error_number);
  }
  return fd;
}

void pread_all(const Fd& file, std::span<std::byte> into, Bytes offset, const fs::path& path) {
  while (!into.empty()) {
    const ssize_t n = pread(file.get(), into.data(), into.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno(ExitStatus::environment, "cannot read '" + path.string() + "'");
    if (n == 0)
      throw Error(ExitStatus::environment, "'" + path.string() + "' ends at byte " + std::to_string(offset) +
                                               ", before its expected end");
    into = into.subspan(static_cast<std::size_t>(n));
    offset += static_cast<Bytes>(n);
  }
}

void pwrite_all(const Fd& file, std::span<const std::byte> from, Bytes offset, const fs::path& path) {
  while (!from.empty()) {
    const ssize_t n = pwrite(file.get(), from.data(), from.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno(ExitStatus::environment, "cannot write '" + path.string() + "'");
    from = from.subspan(static_cast<std::size_t>(n));
    offset += static_cast<Bytes>(n);
  }
}

std::string read_text(const fs::path& path) {
  return read_text(open_file(path, O_RDONLY), path);
}

std::string read_text(const Fd& file, const fs::path& path) {
  std::string text;
  char buffer[65536];
  while (true) {
    const ssize_t n = read(file.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno(ExitStatus::environment, "cannot read '" + path.string() + "'");
    if (n == 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
  }
}

fs::path temporary_name(const fs::path& path, int pid) {
  return path.string() + ".tmp." + std::to_string(pid);
}

void write_text_atomically(const fs::path& path, std::string_view text, unsigned mode) {
  const fs::path temporary = temporary_name(path, getpid());
  try {
    const Fd fd = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode);
    pwrite_all(fd, std::as_bytes(std::span(text.data(), text.size())), 0, temporary);
    if (fsync(fd.get()) != 0)
      throw_errno(ExitStatus::environment, "cannot sync '" + temporary.string() + "'");
    rename_durably(temporary, path);
  } catch (...) {
    unlink(temporary.c_str());
    throw;
  }
}

void rename_durably(const fs::path& from, const fs::path& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    throw_errno(ExitStatus::environment, "cannot rename '" + from.string() + "' to '" + to.string() + "'");
  }
  sync_folder(to.parent_path());
}

bool is_same_file(const Fd& file, const fs::path& path) {
  struct stat opened {};
  struct stat there {};
  return fstat(file.get(), &opened) == 0 && stat(path.c_str(), &there) == 0 &&
         opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

Bytes free_bytes(const fs::path& folder) {
  struct statvfs info {};
  if (statvfs(folder.c_str(), &info) != 0) {
    throw_errno(ExitStatus::environment, "cannot ask for the free space of '" + folder.string() + "'");
  }
  return Bytes{info.f_bavail} * info.f_frsize;
}

TempFolder::TempFolder(const fs::path& parent, std::string_view prefix) {
  std::error_code ignored;  // mkdtemp below reports the folder that matters
  fs::create_directories(parent, ignored);
  std::string name = (parent / (std::string(prefix) + "XXXXXX")).string();
  if (mkdtemp(name.data()) == nullptr)
    throw_errno(ExitStatus::environment, "cannot make a temporary folder in '" + parent.string() + "'");
  path_ = name;
}

TempFolder& TempFolder::operator=(TempFolder&& other) noexcept {
  if (this != &other) {
    remove();
    path_ = std::move(other.path_);
    other.path_.clear();
  }
  return *this;
}

void TempFolder::remove() noexcept {
  if (path_.empty()) return;
  std::error_code error;
  // Others may still be writing there (libvirt's threads put down the state of a VM that ends): once more
  // then.
  for (int tries = 0; tries < 20; ++tries) {
    fs::remove_all(path_, error);
    if (!error) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  if (error) log_warning("cannot remove '" + path_.string() + "': " + error.message());
  path_.clear();
}

fs::path temp_root() {
  const char* tmpdir = std::getenv("TMPDIR");
  return tmpdir != nullptr && *tmpdir != '\0' ? tmpdir : "/tmp";
}

}  // namespace vmi
