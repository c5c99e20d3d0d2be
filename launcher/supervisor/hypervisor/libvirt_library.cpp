// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/hypervisor/libvirt_library.hpp"

#include "cachegen/support/shared_library.hpp"

namespace vmi::supervisor {
namespace {

SharedLibrary load(const char* file) {
  return {file, "libvirt's library", "install it (Debian: libvirt0), or use --backend qemu"};
}

LibvirtLibrary load_all() {
  const SharedLibrary base = load("libvirt.so.0");
  const SharedLibrary qemu = load("libvirt-qemu.so.0");
  LibvirtLibrary all{};
  base.find("virInitialize", all.initialize);
  base.find("virGetVersion", all.get_version);
  base.find("virSetErrorFunc", all.set_error_func);
  base.find("virGetLastError", all.get_last_error);
  base.find("virEventRegisterDefaultImpl", all.event_register_default_impl);
  base.find("virEventRunDefaultImpl", all.event_run_default_impl);
  base.find("virConnectOpen", all.connect_open);
  base.find("virConnectClose", all.connect_close);
  base.find("virConnectGetDomainCapabilities", all.connect_get_domain_capabilities);
  base.find("virDomainCreateXML", all.domain_create_xml);
  base.find("virDomainLookupByName", all.domain_lookup_by_name);
  base.find("virDomainResume", all.domain_resume);
  base.find("virDomainFree", all.domain_free);
  qemu.find("virDomainQemuMonitorCommand", all.domain_qemu_monitor_command);
  return all;
}

}  // namespace

const LibvirtLibrary& libvirt() {
  static const LibvirtLibrary all = load_all();
  return all;
}

}  // namespace vmi::supervisor
