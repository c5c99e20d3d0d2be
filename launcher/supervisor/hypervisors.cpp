// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/hypervisors.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/supervisor/qemu_backend.hpp"

namespace vmi::supervisor {

Backend Hypervisors::resolve(Backend wanted, vmi::Machine machine) {
  if (wanted == Backend::libvirt) libvirt()->open();  // before anything asks libvirt for its version
  if (wanted != Backend::automatic) return wanted;
  if (machine == vmi::Machine::microvm) return Backend::qemu;  // libvirt 9.0 does not know it
  const std::shared_ptr<LibvirtBackend> libvirt = this->libvirt();
  const std::lock_guard lock(mutex_);
  if (!libvirt_problem_) {
    try {
      libvirt->open();
      libvirt_problem_ = "";
    } catch (const Error& error) {
      libvirt_problem_ = error.what();
      log_warning("VMs are started without libvirt (--backend qemu): " + *libvirt_problem_);
    }
  }
  return libvirt_problem_->empty() ? Backend::libvirt : Backend::qemu;
}

std::shared_ptr<Hypervisor> Hypervisors::get(Backend wanted, vmi::Machine machine) {
  if (resolve(wanted, machine) == Backend::libvirt) return libvirt();
  return std::make_shared<QemuBackend>();
}

std::shared_ptr<LibvirtBackend> Hypervisors::libvirt() {
  const std::lock_guard lock(mutex_);
  if (!libvirt_) libvirt_ = std::make_shared<LibvirtBackend>(libvirt_root_);
  return libvirt_;
}

}  // namespace vmi::supervisor
