// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/qemu_lookup.hpp"

#include "cachegen/guest/guest.hpp"

#include <unistd.h>

namespace vmi {

fs::path this_program() {
  std::error_code failed;
  return fs::read_symlink("/proc/self/exe", failed);
}

std::optional<fs::path> installed_qemu(const fs::path& program) {
  const fs::path qemu = (program.parent_path() / VMI_QEMU_FROM_PROGRAMS).lexically_normal();
  if (access(qemu.c_str(), X_OK) != 0) return std::nullopt;
  return qemu;
}

std::string default_qemu(const fs::path& program) {
  return installed_qemu(program).value_or("qemu-system-x86_64").string();
}

std::string stock_qemu_warning(const QemuFacts& qemu, const fs::path& program) {
  const std::optional<fs::path> installed = installed_qemu(program);
  if (qemu.has_vmicache || !installed) return "";
  return "stock QEMU '" + qemu.path.string() +
         "' is used, which counts no hits and misses, though one that does is installed: '" +
         installed->string() + "', the default of --qemu; say --driver qcow2 where stock QEMU is meant";
}

}  // namespace vmi
