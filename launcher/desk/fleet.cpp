// SPDX-License-Identifier: Apache-2.0
#include "launcher/desk/fleet.hpp"

#include <algorithm>

namespace vmi {
namespace {

/// The VM's index when the event concerns one.
std::optional<int> index_of(const Event& event) {
  return std::visit(
      [](const auto& e) -> std::optional<int> {
        if constexpr (requires { e.index; }) return e.index;
        return std::nullopt;
      },
      event);
}

void copy_stats(const VmStats& stats, VmRow& row) {
  row.hits = stats.hits;
  row.misses = stats.misses;
  row.bytes_hit = stats.bytes_hit;
  row.bytes_miss = stats.bytes_miss;
  row.bytes_filled = stats.bytes_filled;
  row.bytes_read = stats.bytes_read;
  if (stats.cpu_s >= 0) row.cpu_s = stats.cpu_s;
  row.rss_bytes = stats.rss_bytes;
}

}  // namespace

std::string whole_text(const VmFailed& failure) {
  std::string text = failure.reason;
  if (!failure.last_lines.empty()) text += "\n" + failure.last_lines;
  if (!failure.kept_log.empty()) text += "\nits serial log is kept in '" + failure.kept_log + "'";
  return text;
}

Fleet::Fleet(std::vector<VmRow> planned) {
  for (VmRow& row : planned) {
    row.state = vm_state::planned;
    vms_.push_back({std::move(row)});
  }
}

std::optional<VmRow> Fleet::apply(const Event& event, const LaunchClock& clock, std::int64_t offset_ns) {
  const std::optional<int> index = index_of(event);
  if (!index) return std::nullopt;
  if (*index < 0 || *index >= size()) {
    throw Error(ExitStatus::environment, "a supervisor spoke of VM number " + std::to_string(*index) +
                                             ", which this launch does not have");
  }
  Vm& vm = vms_[static_cast<std::size_t>(*index)];
  VmRow known;
  known.name = vm.row.name;
  const auto set_time = [&](double VmRow::*field, std::int64_t ns) {
    if (ns != kNever) known.*field = vm.row.*field = clock.at(ns, offset_ns);
  };
  const auto set_state = [&](const char* state) { known.state = vm.row.state = state; };

  if (const auto* prepared = std::get_if<VmPrepared>(&event)) {
    set_state(vm_state::prepared);
    set_time(&VmRow::t_prepare, prepared->t_prepare);
    set_time(&VmRow::t_spawn, prepared->t_spawn);
    vm.ssh_port = prepared->ssh_port;
    ++prepared_;
  } else if (const auto* running = std::get_if<VmRunning>(&event)) {
    set_state(vm_state::running);
    set_time(&VmRow::t_running, running->t_running);
    ++running_;
  } else if (const auto* ready = std::get_if<VmReady>(&event)) {
    set_state(vm_state::ready);
    set_time(&VmRow::t_ready, ready->t_ready);
    known.ready_by = vm.row.ready_by = ready->ready_by;
    ++ready_;
  } else if (const auto* failure = std::get_if<VmFailed>(&event)) {
    set_state(vm_state::failed);
    known.error = vm.row.error = whole_text(*failure);
    vm.kept_log = failure->kept_log;
    vm.timed_out = failure->timed_out;
    ++failed_;
  } else if (const auto* stopped = std::get_if<VmStopped>(&event)) {
    set_time(&VmRow::t_stopped, stopped->t_stopped);
    set_time(&VmRow::t_first_read, stopped->stats.t_first_read);
    copy_stats(stopped->stats, known);
    copy_stats(stopped->stats, vm.row);
    if (vm.row.state != vm_state::ready && vm.row.state != vm_state::failed) set_state(vm_state::stopped);
  } else if (const auto* exited = std::get_if<VmExited>(&event)) {
    set_time(&VmRow::t_stopped, exited->t_exited);
  }
  return known;
}

bool Fleet::all_failures_timed_out() const {
  return failed_ > 0 && std::ranges::all_of(vms_, [](const Vm& vm) {
           return vm.row.state != vm_state::failed || vm.timed_out;
         });
}

}  // namespace vmi
