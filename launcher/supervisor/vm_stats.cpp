// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/vm_stats.hpp"

#include "cachegen/support/log.hpp"

namespace vmi::supervisor {

VmStats query_stats(Domain& domain, Deadline deadline) noexcept {
  VmStats stats;
  try {
    for (const nlohmann::json& device : domain.execute("query-blockstats", {}, deadline)) {
      // The disk's own device; a seed disk is another.
      if (device.value("qdev", "").find("/disk/") == std::string::npos) continue;
      stats.guest_read_bytes = device.at("stats").at("rd_bytes").get<std::int64_t>();
    }
  } catch (const std::exception& error) {
    log_debug(std::string("no block statistics: ") + error.what());
  }
  return stats;
}

std::string query_trouble(Domain& domain, Deadline deadline) noexcept {
  try {
    const std::string status = domain.execute("query-status", {}, deadline).at("status").get<std::string>();
    if (status == "io-error")
      return "QEMU paused it because its overlay could not be written: is --node-dir full?";
    if (status == "guest-panicked") return "its kernel panicked";
    if (status == "internal-error")
      return "QEMU stopped it with an internal error (KVM cannot run this guest here?)";
    if (status != "running") return "QEMU says that it is '" + status + "'";
    return {};
  } catch (const std::exception& error) {
    return std::string("QEMU's monitor does not answer either: ") + error.what();
  }
}

}  // namespace vmi::supervisor
