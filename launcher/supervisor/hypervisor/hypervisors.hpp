// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supervisor/hypervisor/hypervisor.hpp"
#include "launcher/supervisor/hypervisor/libvirt_backend.hpp"
#include "launcher/supervisor/ipc/protocol.hpp"

#include <atomic>
#include <memory>

namespace vmi::supervisor {

/// The two backends of one supervisor, and what --backend auto means. Any thread.
class Hypervisors {
 public:
  explicit Hypervisors(const fs::path& libvirt_root);

  /// automatic becomes libvirt, or qemu (with a warning) where libvirt does not start. Never automatic.
  /// Throws Error(environment) for an explicit libvirt that does not start.
  Backend resolve(Backend wanted);
  std::shared_ptr<Hypervisor> get(Backend wanted);

 private:
  std::shared_ptr<LibvirtBackend> libvirt_;
  std::shared_ptr<Hypervisor> qemu_;
  std::atomic<bool> warned_ = false;
};

}  // namespace vmi::supervisor
