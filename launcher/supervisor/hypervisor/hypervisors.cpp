// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/hypervisor/hypervisors.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/supervisor/hypervisor/qemu_backend.hpp"

namespace vmi::supervisor {

Hypervisors::Hypervisors(const fs::path& libvirt_root)
    : libvirt_(std::make_shared<LibvirtBackend>(libvirt_root)), qemu_(std::make_shared<QemuBackend>()) {
}

Backend Hypervisors::resolve(Backend wanted) {
  if (wanted == Backend::qemu) return wanted;
  try {
    libvirt_->open();
    return Backend::libvirt;
  } catch (const Error& error) {
    if (wanted == Backend::libvirt) throw;
    if (!warned_.exchange(true)) {
      log_warning(std::string("VMs are started without libvirt (--backend qemu): ") + error.what());
    }
    return Backend::qemu;
  }
}

std::shared_ptr<Hypervisor> Hypervisors::get(Backend wanted) {
  if (resolve(wanted) == Backend::libvirt) return libvirt_;
  return qemu_;
}

}  // namespace vmi::supervisor
