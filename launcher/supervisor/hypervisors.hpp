// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supervisor/hypervisor.hpp"
#include "launcher/supervisor/libvirt_backend.hpp"
#include "launcher/supervisor/protocol.hpp"

#include <memory>
#include <mutex>

namespace vmi::supervisor {

/// The two backends of one supervisor, and what --backend auto means. Any thread.
class Hypervisors {
 public:
  explicit Hypervisors(fs::path libvirt_root) : libvirt_root_(std::move(libvirt_root)) {}

  /// automatic becomes libvirt, or qemu (with a warning) where libvirt cannot be used. Never automatic.
  Backend resolve(Backend wanted, vmi::Machine machine);
  std::shared_ptr<Hypervisor> get(Backend wanted, vmi::Machine machine);

 private:
  std::shared_ptr<LibvirtBackend> libvirt();

  fs::path libvirt_root_;
  std::mutex mutex_;
  std::shared_ptr<LibvirtBackend> libvirt_;     ///< guarded by mutex_
  std::optional<std::string> libvirt_problem_;  ///< guarded by mutex_; empty text: it works
};

}  // namespace vmi::supervisor
