// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

namespace vmi::supervisor {

/// libvirt's functions that are used here. The library is loaded when they are first asked for, and not
/// linked: with the forty others that it takes along it costs each process 8 ms of CPU time, the ranks too,
/// which never call it; and where it is missing, QEMU is started without it.
struct LibvirtLibrary {
  decltype(&::virInitialize) initialize;
  decltype(&::virGetVersion) get_version;
  decltype(&::virSetErrorFunc) set_error_func;
  decltype(&::virGetLastError) get_last_error;
  decltype(&::virEventRegisterDefaultImpl) event_register_default_impl;
  decltype(&::virEventRunDefaultImpl) event_run_default_impl;
  decltype(&::virConnectOpen) connect_open;
  decltype(&::virConnectClose) connect_close;
  decltype(&::virConnectGetDomainCapabilities) connect_get_domain_capabilities;
  decltype(&::virDomainCreateXML) domain_create_xml;
  decltype(&::virDomainLookupByName) domain_lookup_by_name;
  decltype(&::virDomainResume) domain_resume;
  decltype(&::virDomainFree) domain_free;
  decltype(&::virDomainQemuMonitorCommand) domain_qemu_monitor_command;
};

/// Throws Error(environment) when the library cannot be loaded.
const LibvirtLibrary& libvirt();

}  // namespace vmi::supervisor
