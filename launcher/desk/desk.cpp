// SPDX-License-Identifier: Apache-2.0
#include "launcher/desk/desk.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace vmi {
namespace {

/// JSON has no NaN: what is not known is left out.
void put_time(nlohmann::json& json, const char* name, double value) {
  if (!std::isnan(value)) json[name] = value;
}

NodeRow node_row(const nlohmann::json& json) {
  NodeRow row;
  row.node = json.at("node");
  row.hostname = json.value("hostname", "");
  row.ranks = json.value("ranks", kUnknownCount);
  row.clock_offset_s = json.value("clock_offset_s", kUnknownTime);
  row.clock_error_s = json.value("clock_error_s", kUnknownTime);
  row.cache_source = json.value("cache_source", "");
  row.t_cache_first = json.value("t_cache_first", kUnknownTime);
  row.t_cache_last = json.value("t_cache_last", kUnknownTime);
  row.wire_bytes = json.value("wire_bytes", kUnknownCount);
  row.payload_bytes = json.value("payload_bytes", kUnknownCount);
  return row;
}

RunAttributes first_attributes(const LaunchOptions& options, const LaunchClock& clock,
                               const std::string& command_line, int ranks) {
  RunAttributes attributes;
  attributes.program_version = VMI_VERSION;
  attributes.command_line = command_line;
  attributes.start = clock.start_text();
  const char* job = std::getenv("SLURM_JOB_ID");
  attributes.job_id = job != nullptr ? job : "";
  attributes.machine = to_text(options.guest.machine);
  attributes.cache_mode = to_text(options.cache);
  attributes.placement = to_text(options.placement);
  attributes.ready = options.ready.to_text();
  attributes.ranks = ranks;
  attributes.cpus = options.guest.cpus;
  attributes.memory_bytes = static_cast<std::int64_t>(options.guest.memory);
  attributes.notes = options.notes;
  return attributes;
}

}  // namespace

nlohmann::json node_letter(const NodeRow& row) {
  nlohmann::json json = {{"node", row.node}};
  if (!row.hostname.empty()) json["hostname"] = row.hostname;
  if (row.ranks != kUnknownCount) json["ranks"] = row.ranks;
  if (!row.cache_source.empty()) json["cache_source"] = row.cache_source;
  put_time(json, "clock_offset_s", row.clock_offset_s);
  put_time(json, "clock_error_s", row.clock_error_s);
  put_time(json, "t_cache_first", row.t_cache_first);
  put_time(json, "t_cache_last", row.t_cache_last);
  if (row.wire_bytes != kUnknownCount) json["wire_bytes"] = row.wire_bytes;
  if (row.payload_bytes != kUnknownCount) json["payload_bytes"] = row.payload_bytes;
  return {{"node", json}};
}

Desk::Desk(const LaunchOptions& options, const LaunchClock& clock, const std::string& command_line, int ranks)
    : clock_(clock),
      journal_(Journal::create(options.output, first_attributes(options, clock, command_line, ranks))),
      progress_("vmilaunch", !options.json) {
}

void Desk::plan(std::vector<VmRow> vms) {
  for (VmRow& vm : vms) {
    vm.state = vm_state::planned;
    journal_.vm(vm);
  }
  fleet_.emplace(std::move(vms));
}

void Desk::phase(const std::string& name, const std::string& text) {
  end_phase();
  in_phase_ = true;
  phase_text_ = text;
  phases_.push_back({name, clock_.now(), kUnknownTime});
  journal_.phase_begin(name, phases_.back().t_begin);
  progress_.stage(text);
}

void Desk::end_phase() {
  if (!in_phase_) return;
  in_phase_ = false;
  phases_.back().t_end = clock_.now();
  journal_.phase_end(phases_.back().name, phases_.back().t_end);
}

void Desk::failure(const Error& error, const std::string& source) {
  journal_.error({clock_.now(), source, error.what()});
}

void Desk::take(int rank, const nlohmann::json& letter) {
  if (letter.contains("event")) {
    const std::int64_t offset_ns = offsets_ns_.empty() ? 0 : offsets_ns_.at(static_cast<std::size_t>(rank));
    const Event event = parse_event(letter["event"]);
    if (!fleet_) return;
    if (const std::optional<VmRow> known = fleet_->apply(event, clock_, offset_ns)) {
      journal_.vm(*known);
      progress_.update(phase_text_ + ": " + counters());
    }
  } else if (letter.contains("node")) {
    const NodeRow row = node_row(letter["node"]);
    journal_.node(row);
    if (!row.cache_source.empty() && row.cache_source != "none" && row.cache_source != "shared")
      cache_rows_[row.node] = row;
  } else if (letter.contains("final")) {
    ++finals_;
  }
}

void Desk::tick() {
  journal_.tick();
}

std::optional<Desk::Caches> Desk::caches() const {
  if (cache_rows_.empty()) return std::nullopt;
  Caches caches;
  for (const auto& [node, row] : cache_rows_) {
    ++caches.nodes;
    if (row.cache_source == "held") ++caches.held;
    caches.wire_bytes += std::max<std::int64_t>(0, row.wire_bytes);
  }
  return caches;
}

std::string Desk::counters() const {
  if (!fleet_ || phases_.empty()) return "";
  const std::string of = "/" + std::to_string(fleet_->size());
  std::string text;
  const std::string& phase = phases_.back().name;
  if (phase == "distribute") {
    text = std::to_string(fleet_->prepared()) + of + " prepared";
  } else if (phase == "start") {
    text = std::to_string(fleet_->running()) + of + " running";
  } else {
    text = std::to_string(fleet_->ready()) + of + " ready";
  }
  if (fleet_->failed() > 0) text += ", " + std::to_string(fleet_->failed()) + " failed";
  return text;
}

}  // namespace vmi
