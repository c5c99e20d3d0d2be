// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supervisor/hypervisor/hypervisor.hpp"

namespace vmi::supervisor {

/// The domain for libvirt. libvirt gives machine, accelerator, memory, CPUs and the monitor; every other word
/// of vm.command goes to QEMU as it is (<qemu:commandline>), so that both backends, and the profile, have the
/// same block graph and devices. Throws Error(usage) for words that
/// XML cannot hold.
std::string domain_xml(const VmPlan& vm);

/// The words of a qemu_command() that libvirt does not give by itself.
Argv words_for_qemu(const Argv& command);

}  // namespace vmi::supervisor
