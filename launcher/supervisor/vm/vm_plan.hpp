// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/guest/aio.hpp"
#include "launcher/supervisor/hypervisor/hypervisor.hpp"
#include "launcher/supervisor/ipc/protocol.hpp"

#include <map>
#include <mutex>
#include <optional>

namespace vmi::supervisor {

/// What is true for all VMs of a machine and costs to find out; kept. Any thread.
class HostFacts {
 public:
  QemuFacts qemu(const std::string& program);
  /// Warns about automatic's choice of tcg once.
  Accel accel(Accel wanted);
  bool can_lock(const std::string& url_or_path);
  Aio aio(Aio wanted, const QemuFacts& qemu);

 private:
  std::mutex mutex_;
  std::map<std::string, QemuFacts> qemu_;
  std::map<Accel, Accel> accel_;
  std::map<std::string, bool> can_lock_;
  std::optional<std::string> io_uring_problem_;
};

/// Where one supervisor keeps its VMs' files.
struct VmFolders {
  fs::path runtime;  ///< sockets and logs; short
  fs::path overlays;
};

/// What to start for `spec`. Makes no files. Throws Error(usage) for what the machine or the network cannot
/// do.
VmPlan plan_vm(const VmSpec& spec, const VmFolders& folders, HostFacts& facts);

/// Makes the VM's folder, overlay and seed.
void make_files(const VmSpec& spec, const VmPlan& plan);

}  // namespace vmi::supervisor
