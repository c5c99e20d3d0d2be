// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/error.hpp"
#include "launcher/supervisor/hypervisor/libvirt_library.hpp"

#include <memory>
#include <string>

namespace vmi::supervisor {

struct CloseConnection {
  void operator()(virConnectPtr connection) const { libvirt().connect_close(connection); }
};
struct FreeDomain {
  void operator()(virDomainPtr domain) const { libvirt().domain_free(domain); }
};
struct FreeText {
  void operator()(char* text) const;
};
using LibvirtConnection = std::unique_ptr<virConnect, CloseConnection>;
using LibvirtDomain = std::unique_ptr<virDomain, FreeDomain>;
using LibvirtText = std::unique_ptr<char, FreeText>;

/// "what: libvirt's last error in this thread".
Error libvirt_error(const std::string& what);

}  // namespace vmi::supervisor
