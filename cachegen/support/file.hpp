// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/error.hpp"
#include "cachegen/support/fd.hpp"
#include "cachegen/support/units.hpp"

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace vmi {

namespace fs = std::filesystem;

/// open(2) with O_CLOEXEC; throws Error(status, "cannot open 'path': reason").
Fd open_file(const fs::path& path, int flags, unsigned mode = 0644,
             ExitStatus status = ExitStatus::environment);

/// Reads or writes exactly the whole span at `offset`; throws Error(environment), a short read included.
void pread_all(const Fd& file, std::span<std::byte> into, Bytes offset, const fs::path& path);
void pwrite_all(const Fd& file, std::span<const std::byte> from, Bytes offset, const fs::path& path);

std::string read_text(const fs::path& path);
/// The same from where `file` stands; `path` is for errors.
std::string read_text(const Fd& file, const fs::path& path);

/// What process `pid` calls `path` while it writes it.
fs::path temporary_name(const fs::path& path, int pid);

/// temporary_name(), fsync, rename, fsync of the folder: readers see the old or the new file.
void write_text_atomically(const fs::path& path, std::string_view text, unsigned mode = 0644);

/// rename(2) and fsync of the folder. The file itself must have been synced by the caller.
void rename_durably(const fs::path& from, const fs::path& to);

/// Whether `path` leads to the very file that is open as `file`.
bool is_same_file(const Fd& file, const fs::path& path);

/// Bytes that an ordinary user can still write to the file system of `folder`.
Bytes free_bytes(const fs::path& folder);

/// A folder that is removed with all it holds at the end of its life.
class TempFolder {
 public:
  /// Makes `parent/prefixXXXXXX`, mode 0700; `parent` is made when missing.
  TempFolder(const fs::path& parent, std::string_view prefix);
  TempFolder(TempFolder&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  TempFolder& operator=(TempFolder&& other) noexcept;
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() { remove(); }

  const fs::path& path() const { return path_; }
  /// Removes it now; what cannot be removed is logged.
  void remove() noexcept;

 private:
  fs::path path_;
};

/// ${TMPDIR:-/tmp}.
fs::path temp_root();

}  // namespace vmi
