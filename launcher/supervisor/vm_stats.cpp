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

Trouble query_trouble(Domain& domain, Deadline deadline) noexcept {
  try {
    const std::string status = domain.execute("query-status", {}, deadline).at("status").get<std::string>();
    if (status == "running") return {};
    if (status == "io-error") {
      return {true, "QEMU paused it because its overlay could not be written: is --node-dir full?"};
    }
    if (status == "guest-panicked") return {true, "its kernel panicked"};
    if (status == "internal-error") {
      return {true, "QEMU stopped it with an internal error; with KVM, can it run this guest here?"};
    }
    return {false, "QEMU says that it is '" + status + "'"};
  } catch (const std::exception& error) {
    return {false, std::string("QEMU's monitor does not answer either: ") + error.what()};
  }
}

}  // namespace vmi::supervisor
