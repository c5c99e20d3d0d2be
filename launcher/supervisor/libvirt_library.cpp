// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/libvirt_library.hpp"

#include "cachegen/support/error.hpp"

#include <dlfcn.h>

namespace vmi::supervisor {
namespace {

[[noreturn]] void refuse() {
  const char* why = dlerror();
  throw Error(ExitStatus::environment, std::string("cannot load libvirt's library: ") +
                                           (why != nullptr ? why : "no reason is given") +
                                           "; install it (Debian: libvirt0), or use --backend qemu");
}

/// Never unloaded: its threads run until the process ends.
void* load(const char* name) {
  void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) refuse();
  return library;
}

template <typename Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) refuse();
}

LibvirtLibrary load_all() {
  void* base = load("libvirt.so.0");
  void* qemu = load("libvirt-qemu.so.0");
  LibvirtLibrary all{};
  find(base, "virInitialize", all.initialize);
  find(base, "virGetVersion", all.get_version);
  find(base, "virSetErrorFunc", all.set_error_func);
  find(base, "virGetLastError", all.get_last_error);
  find(base, "virGetLastErrorCode", all.get_last_error_code);
  find(base, "virEventRegisterDefaultImpl", all.event_register_default_impl);
  find(base, "virEventRunDefaultImpl", all.event_run_default_impl);
  find(base, "virConnectOpen", all.connect_open);
  find(base, "virConnectClose", all.connect_close);
  find(base, "virConnectGetDomainCapabilities", all.connect_get_domain_capabilities);
  find(base, "virDomainCreateXML", all.domain_create_xml);
  find(base, "virDomainLookupByName", all.domain_lookup_by_name);
  find(base, "virDomainResume", all.domain_resume);
  find(base, "virDomainFree", all.domain_free);
  find(qemu, "virDomainQemuMonitorCommand", all.domain_qemu_monitor_command);
  return all;
}

}  // namespace

const LibvirtLibrary& libvirt() {
  static const LibvirtLibrary all = load_all();
  return all;
}

}  // namespace vmi::supervisor
