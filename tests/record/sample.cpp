// SPDX-License-Identifier: Apache-2.0
#include "tests/record/sample.hpp"

#include <cmath>

namespace vmi {
namespace {

constexpr const char* kImage = "/images/tiny.qcow2";

struct Times {
  double cache_end, prepared, started, ready_from, ready_to, stopped;
};

Times times_of(const SampleOptions& options) {
  if (options.cached)
    return {
        .cache_end = 0.4, .prepared = 0.9, .started = 1.0, .ready_from = 8, .ready_to = 10, .stopped = 10.6};
  return {
      .cache_end = 0.1, .prepared = 0.5, .started = 0.6, .ready_from = 11, .ready_to = 21, .stopped = 21.5};
}

VmRow sample_vm(const SampleOptions& options, int i) {
  const Times t = times_of(options);
  const double share = options.vms > 1 ? i / (options.vms - 1.0) : 0.0;
  VmRow vm{.name = "vm" + std::to_string(i),
           .rank = i % options.nodes,
           .node = i % options.nodes,
           .image = kImage,
           .state = vm_state::ready,
           .t_prepare = t.cache_end * 0.5 + 0.02 * (i % 4),
           .t_spawn = t.cache_end + (t.prepared - t.cache_end) * share,
           .t_running = t.started + 0.02 * share,
           .t_first_read = t.started + 0.1 + 0.05 * share,
           .t_ready = t.ready_from + (t.ready_to - t.ready_from) * std::sqrt(share),
           .t_stopped = t.stopped,
           .ready_by = "serial",
           .cpu_s = 7.5,
           .rss_bytes = 180'000'000 + i};
  if (options.cached) {
    vm.hits = 2990;
    vm.misses = 10;
    vm.bytes_hit = 38'000'000;
    vm.bytes_miss = 40'960;
    vm.bytes_filled = 0;
  }
  return vm;
}

void fail(VmRow& vm) {
  vm.state = vm_state::failed;
  vm.error = "not ready within 30 s; its last line was: Kernel panic - not syncing: größer";
  vm.t_ready = kUnknownTime;
  vm.ready_by.clear();
}

}  // namespace

RunAttributes sample_attributes(const SampleOptions& options) {
  return {.program_version = VMI_VERSION,
          .command_line = "vmilaunch --image tiny.qcow2 --vms " + std::to_string(options.vms),
          .start = "2024-05-01T12:00:00.123Z",
          .job_id = "4711",
          .mpi_library = "Open MPI v4.1.4",
          .qemu_version = "7.2.9",
          .libvirt_version = "9.0.0",
          .backend = "libvirt",
          .accel = "tcg",
          .machine = "pc",
          .cpu_model = "max",
          .driver = "qcow2",
          .cache_mode = options.cached ? "path" : "none",
          .placement = "node",
          .ready = "serial:login: ",
          .vms = options.vms,
          .ranks = options.nodes,
          .nodes = options.nodes,
          .cpus = 1,
          .memory_bytes = 512 * static_cast<std::int64_t>(MiB),
          .notes = {{"link", "1 Gbit/s"}}};
}

void tell_sample(Journal& journal, const SampleOptions& options) {
  const Times t = times_of(options);
  journal.phase_begin("plan", 0);
  journal.phase_end("plan", 0.05);
  journal.image({.url = kImage,
                 .format = "qcow2",
                 .virtual_bytes = 2'147'483'648,
                 .base_identity = "fingerprint:1",
                 .mode = options.cached ? "path" : "none"});
  if (options.cached) {
    journal.image({.url = kImage,
                   .cache_digest = "0123456789abcdef0123456789abcdef",
                   .cached_bytes = 38'000'000,
                   .file_bytes = 39'000'000,
                   .quota = 268'435'456});
    std::vector<BootTraceRow> trace;
    trace.reserve(20);
    for (int i = 0; i < 20; ++i) {
      trace.push_back({.run = 0,
                       .image = kImage,
                       .t_submit = 0.1 * i,
                       .t_complete = 0.1 * i + 0.01,
                       .op = i % 5 == 4 ? "write" : "read",
                       .offset = i * 65536,
                       .bytes = 4096,
                       .hit = i % 5 == 4 ? -1 : 1});
    }
    journal.boot_trace(trace);
  }
  journal.phase_begin("distribute", 0.05);
  journal.phase_begin("prepare", 0.1);
  for (int node = 0; node < options.nodes; ++node) {
    NodeRow row{.node = node,
                .hostname = "node" + std::to_string(node),
                .ranks = 1,
                .clock_offset_s = 0.25 * node,
                .clock_error_s = 2e-5,
                .cache_source = "none"};
    if (options.cached) {
      row.cache_source = node == 0 ? "held" : "received";
      row.wire_bytes = node == 0 ? 0 : 21'000'000;
      row.payload_bytes = node == 0 ? 0 : 39'000'000;
      if (node > 0) {
        row.t_cache_first = 0.1;
        row.t_cache_last = t.cache_end;
      }
    }
    journal.node(row);
  }
  for (int i = 0; i < options.vms; ++i) {
    const VmRow vm = sample_vm(options, i);
    journal.vm(
        {.name = vm.name, .rank = vm.rank, .node = vm.node, .image = vm.image, .state = vm_state::planned});
    journal.vm(
        {.name = vm.name, .state = vm_state::prepared, .t_prepare = vm.t_prepare, .t_spawn = vm.t_spawn});
  }
  journal.phase_end("distribute", t.cache_end);
  journal.phase_end("prepare", t.prepared);
  journal.phase_begin("start", t.prepared);
  for (int i = 0; i < options.vms; ++i) {
    const VmRow vm = sample_vm(options, i);
    journal.vm({.name = vm.name,
                .state = vm_state::running,
                .t_running = vm.t_running,
                .t_first_read = vm.t_first_read});
  }
  journal.phase_end("start", t.started);
  journal.phase_begin("ready", t.started);
}

void tell_sample_end(Journal& journal, const SampleOptions& options) {
  const Times t = times_of(options);
  for (int i = 0; i < options.vms; ++i) {
    VmRow vm = sample_vm(options, i);
    if (options.with_failures && i == options.vms - 1) fail(vm);
    journal.vm(vm);
  }
  journal.phase_end("ready", t.ready_to);
  journal.phase_begin("stop", t.ready_to);
  journal.phase_end("stop", t.stopped);
  if (options.with_failures)
    journal.error({.t = t.ready_to, .source = "rank 1@node1", .text = "1 VM was not ready in time"});
  journal.end({.outcome = options.with_failures ? "vm_failed" : "ready",
               .exit_status = options.with_failures ? 1 : 0,
               .error = options.with_failures ? "1 of " + std::to_string(options.vms) + " VMs failed" : "",
               .t_end = t.stopped});
}

}  // namespace vmi
