// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/vm/vm_stats.hpp"

#include "cachegen/guest/block_chain.hpp"
#include "cachegen/guest/qemu_command.hpp"
#include "cachegen/support/log.hpp"

#include <ctime>
#include <thread>
#include <utility>

namespace vmi::supervisor {
namespace {

using nlohmann::json;

std::int64_t guest_read_bytes(const json& devices) {
  for (const json& device : devices) {
    // The disk's own device; a seed disk is another.
    if (!is_guest_disk(device.value("qdev", ""))) continue;
    return device.at("stats").at("rd_bytes").get<std::int64_t>();
  }
  return kUnknown;
}

/// The filter's own part of the block statistics; null where there is no such filter.
json filter_counters(Domain& domain, Deadline deadline) {
  for (const json& node : domain.execute("query-blockstats", {{"query-nodes", true}}, deadline)) {
    if (node.value("node-name", "") != kFilterNode || !node.contains("driver-specific")) continue;
    const json& own = node.at("driver-specific");
    if (own.value("driver", "") == "vmicache") return own;
  }
  return nullptr;
}

std::int64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void take_counters(const json& own, const VmSpec& spec, VmStats& stats) {
  const auto count = [&](const char* name) { return own.at(name).get<std::int64_t>(); };
  if (const std::int64_t first = count("first-read-ns"); first != 0)
    stats.t_first_read = clock_ns(CLOCK_MONOTONIC) - (clock_ns(CLOCK_REALTIME) - first);
  stats.hits = count("hits");
  stats.misses = count("misses");
  stats.bytes_hit = count("bytes-hit");
  stats.bytes_miss = count("bytes-miss");
  stats.bytes_filled = count("bytes-filled");
  if (!spec.cache.empty() || spec.whole_copy) return;
  // Without a cache the filter stands above the base itself: its "cache" is the base, or a part of its chain.
  stats.misses += std::exchange(stats.hits, 0);
  stats.bytes_miss += std::exchange(stats.bytes_hit, 0);
}

}  // namespace

VmStats query_stats(Domain& domain, const VmSpec& spec, Deadline deadline) noexcept {
  VmStats stats;
  try {
    stats.bytes_read = guest_read_bytes(domain.execute("query-blockstats", {}, deadline));
    if (const json own = filter_counters(domain, deadline); !own.is_null()) take_counters(own, spec, stats);
  } catch (const std::exception& error) {
    log_debug(std::string("no block statistics: ") + error.what());
  }
  return stats;
}

void wait_for_fills(Domain& domain, Deadline deadline) noexcept {
  try {
    domain.execute("stop", {}, deadline);
    while (!deadline.passed()) {
      const json own = filter_counters(domain, deadline);
      if (own.is_null() || own.at("bytes-queued").get<std::int64_t>() == 0) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  } catch (const std::exception& error) {
    log_debug(std::string("cannot tell whether the cache is filled: ") + error.what());
  }
}

void quit(Domain& domain, Deadline deadline) noexcept {
  try {
    domain.execute("quit", {}, deadline);
  } catch (const std::exception& error) {
    log_debug(std::string("the monitor closed: ") + error.what());
  }
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
