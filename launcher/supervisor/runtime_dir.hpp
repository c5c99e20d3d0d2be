// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace vmi {

/// A folder of one supervisor that can be told from a dead one's: `ROOT/vmilaunch-run-XXXXXX`, mode 0700,
/// with `owner` (pid, start time, boot, host) and a flock(2) held on itself, which also tells supervisors in
/// other pid namespaces apart. `emulators` lists the QEMU programs that were started with paths in this
/// folder. Removed at the end of its life.
class RuntimeDir {
 public:
  explicit RuntimeDir(const fs::path& root);
  RuntimeDir(RuntimeDir&&) noexcept = default;
  RuntimeDir& operator=(RuntimeDir&&) noexcept = default;

  const fs::path& path() const { return folder_.path(); }
  /// Call before the first start of `emulator` (its full path): sweep_stale kills only processes that run one
  /// of these.
  void note_emulator(const fs::path& emulator);
  const std::vector<std::string>& emulators() const { return emulators_; }
  void remove() noexcept { folder_.remove(); }

 private:
  TempFolder folder_;
  Fd lock_;
  std::vector<std::string> emulators_;
};

/// The first of /dev/shm, $XDG_RUNTIME_DIR and ${TMPDIR:-/tmp} that can be written to, is not full and
/// leaves room for socket paths.
fs::path default_runtime_root();

/// Kills, and waits for the end of, the processes of this user that run one of `emulators` and have a path in
/// `folder` among their arguments. Returns how many.
int kill_emulators_in(const fs::path& folder, const std::vector<std::string>& emulators);

struct SweepResult {
  int folders = 0;    ///< removed
  int processes = 0;  ///< killed
};

/// Removes the folders under `root` (runtime folders and overlay folders alike) that belong to this user and
/// whose supervisor is dead, after killing the QEMUs that it left: processes of this user that run one of the
/// folder's emulators and have the folder's path among their arguments. Folders of living supervisors and of
/// other hosts are left alone. Never throws; what cannot be removed is logged.
SweepResult sweep_stale(const fs::path& root) noexcept;

}  // namespace vmi
