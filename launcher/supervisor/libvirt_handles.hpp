// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/error.hpp"

#include <memory>
#include <string>

#include <libvirt/libvirt.h>

namespace vmi::supervisor {

struct CloseConnection {
  void operator()(virConnectPtr connection) const { virConnectClose(connection); }
};
struct FreeDomain {
  void operator()(virDomainPtr domain) const { virDomainFree(domain); }
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
