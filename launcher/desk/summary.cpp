// SPDX-License-Identifier: Apache-2.0
#include "launcher/desk/summary.hpp"

#include <algorithm>
#include <cmath>

namespace vmi {
namespace {

/// Statistics of ascending values.
double median(const std::vector<double>& sorted) {
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

ExitStatus exit_status_with_command(ExitStatus status) {
  if (status == ExitStatus::interrupted || status == ExitStatus::terminated) return status;
  return ExitStatus::launch_failed;
}

std::vector<double> ready_times(const Fleet& fleet, const std::vector<PhaseRow>& phases) {
  const auto start = std::ranges::find(phases, "start", &PhaseRow::name);
  std::vector<double> times;
  if (start == phases.end()) return times;
  for (const Fleet::Vm& vm : fleet.vms()) {
    if (!std::isnan(vm.row.t_ready)) times.push_back(vm.row.t_ready - start->t_begin);
  }
  std::ranges::sort(times);
  return times;
}

std::string hosts_text(const Fleet& fleet, const NodeLayout& layout) {
  std::string text;
  for (const Fleet::Vm& vm : fleet.vms()) {
    if (vm.row.state != vm_state::ready) continue;
    const std::string address = vm.ssh_port > 0 ? "127.0.0.1:" + std::to_string(vm.ssh_port) : "-";
    text +=
        vm.row.name + " " + layout.node_keys.at(static_cast<std::size_t>(vm.row.node)) + " " + address + "\n";
  }
  return text;
}

std::string Summary::to_text() const {
  std::string text;
  if (fleet != nullptr) {
    text += std::to_string(fleet->ready()) + " of " + std::to_string(fleet->size()) + " VMs ready\n";
    for (const PhaseRow& phase : phases) {
      if (std::isnan(phase.t_end)) continue;
      text += "  " + padded(phase.name, 12) + format_duration(Seconds(phase.t_end - phase.t_begin)) + "\n";
    }
    const std::vector<double> times = ready_times(*fleet, phases);
    if (!times.empty()) {
      text += "  time to ready: min " + format_duration(Seconds(times.front())) + ", median " +
              format_duration(Seconds(median(times))) + ", max " + format_duration(Seconds(times.back())) +
              "\n";
    }
    if (caches) {
      text += "  caches: " + std::to_string(caches->held) + " of " + std::to_string(caches->nodes) +
              " nodes held them already, " + format_size(static_cast<Bytes>(caches->wire_bytes)) + " sent\n";
    }
    for (const Fleet::Vm& vm : fleet->vms()) {
      if (vm.row.state != vm_state::failed) continue;
      text += "  " + vm.row.name + " failed: " + first_line(vm.row.error);
      text += vm.kept_log.empty() ? "\n" : " (log: " + vm.kept_log + ")\n";
    }
  }
  if (!record.empty()) text += "  record: " + record + "\n";
  return text;
}

nlohmann::json Summary::to_json() const {
  nlohmann::json json = {{"exit_status", exit_status},
                         {"error", error},
                         {"record", record},
                         {"phases_s", nlohmann::json::object()}};
  for (const PhaseRow& phase : phases) {
    if (!std::isnan(phase.t_end)) json["phases_s"][phase.name] = phase.t_end - phase.t_begin;
  }
  if (fleet == nullptr) return json;
  json["vms"] = fleet->size();
  json["ready"] = fleet->ready();
  json["failed"] = fleet->failed();
  const std::vector<double> times = ready_times(*fleet, phases);
  if (!times.empty())
    json["ready_s"] = {{"min", times.front()}, {"median", median(times)}, {"max", times.back()}};
  if (caches) {
    json["caches"] = {
        {"nodes", caches->nodes}, {"nodes_held", caches->held}, {"wire_bytes", caches->wire_bytes}};
  }
  json["failures"] = nlohmann::json::object();
  for (const Fleet::Vm& vm : fleet->vms()) {
    if (vm.row.state == vm_state::failed) json["failures"][vm.row.name] = vm.row.error;
  }
  return json;
}

}  // namespace vmi
