// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supervisor/hypervisor/hypervisor.hpp"

namespace vmi::supervisor {

/// QEMU started as a child of this process and driven over QMP. It dies with this process (PR_SET_PDEATHSIG).
class QemuBackend : public Hypervisor {
 public:
  void warm(const GuestSpec&) override {}
  std::unique_ptr<Domain> create_paused(const VmPlan& vm, Deadline deadline) override;
  std::string complaints(const VmPlan& vm) override;
  std::string describe(const VmPlan& vm) override;
};

}  // namespace vmi::supervisor
