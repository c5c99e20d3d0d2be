// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supervisor/hypervisor/hypervisor.hpp"
#include "launcher/supervisor/hypervisor/libvirt_handles.hpp"

#include <mutex>
#include <optional>
#include <set>

namespace vmi::supervisor {

/// libvirt's QEMU driver inside this process: no daemon, no root. One per process. This process must be a
/// child subreaper that reaps (children.hpp), since libvirt waits for pids to be gone.
class LibvirtBackend : public Hypervisor {
 public:
  /// `root`: a folder of this process's own, on a file system in memory, with a short path.
  explicit LibvirtBackend(fs::path root);

  /// Opens the driver; warm() does it too.
  void open();
  void warm(const GuestSpec& guest) override;
  std::unique_ptr<Domain> create_paused(const VmPlan& vm, Deadline deadline) override;
  std::string complaints(const VmPlan& vm) override;
  std::string describe(const VmPlan& vm) override;

  /// "9.0.0", of the library.
  static std::string version();

 private:
  /// An earlier VM of that name was killed, and libvirt may not have noticed yet. Waits until it has.
  void wait_until_free(const std::string& name, Deadline deadline);

  fs::path root_;
  std::mutex open_mutex_;
  std::mutex warm_mutex_;
  std::optional<Error> open_problem_;  ///< guarded by open_mutex_
  LibvirtConnection connection_;       ///< set once, by open()
  std::set<std::string> warmed_;       ///< guarded by warm_mutex_
};

}  // namespace vmi::supervisor
