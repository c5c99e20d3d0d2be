// SPDX-License-Identifier: Apache-2.0
#include "launcher/desk/desk.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/launch/letter.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>

namespace vmi {
namespace {

RunAttributes first_attributes(const LaunchOptions& options, const LaunchClock& clock,
                               const std::string& command_line, int ranks) {
  RunAttributes attributes;
  attributes.program_version = VMI_VERSION;
  attributes.command_line = command_line;
  attributes.start = clock.start_text();
  const char* job = std::getenv("SLURM_JOB_ID");
  attributes.job_id = job != nullptr ? job : "";
  attributes.machine = to_text(options.guest.machine);
  attributes.cache_mode = options.cache->name;
  attributes.placement = to_text(options.placement);
  attributes.ready = options.ready.to_text();
  attributes.ranks = ranks;
  attributes.cpus = options.guest.cpus;
  attributes.memory_bytes = static_cast<std::int64_t>(options.guest.memory);
  attributes.notes = options.notes;
  return attributes;
}

const char* outcome(const std::optional<Error>& failure, ExitStatus status) {
  if (status == ExitStatus::interrupted || status == ExitStatus::terminated) return "interrupted";
  if (status == ExitStatus::timed_out) return "timed_out";
  if (status == ExitStatus::vm_failed) return "vm_failed";
  return failure ? "failed" : "ready";
}

NodeCaches summary_of(const std::map<std::int64_t, NodeRow>& rows) {
  NodeCaches caches;
  for (const auto& [node, row] : rows) {
    ++caches.nodes;
    if (row.cache_source == "held") ++caches.held;
    caches.wire_bytes += std::max<std::int64_t>(0, row.wire_bytes);
  }
  return caches;
}

}  // namespace

Desk::Desk(const LaunchOptions& options, const LaunchClock& clock, const std::string& command_line,
           const NodeLayout& layout)
    : options_(options),
      clock_(clock),
      layout_(layout),
      journal_(Journal::create(options.output, first_attributes(options, clock, command_line, layout.ranks))),
      progress_("vmilaunch", !options.json) {
}

void Desk::plan(const std::vector<VmRow>& vms, const RunAttributes& known,
                const std::vector<std::int64_t>& offsets_ns) {
  std::vector<VmRow> planned = vms;
  for (VmRow& vm : planned) {
    vm.state = vm_state::planned;
    journal_.vm(vm);
  }
  fleet_.emplace(std::move(planned));
  journal_.attributes(known);
  offsets_ns_ = offsets_ns;
}

void Desk::phase(const std::string& name, const std::string& text) {
  end_phase();
  in_phase_ = true;
  phase_text_ = text;
  stage_text_.clear();
  stage_fraction_ = -1;
  phases_.push_back({name, clock_.now(), kUnknownTime});
  journal_.phase_begin(name, phases_.back().t_begin);
  progress_.stage(shown().text);
  // What lasts as long as the user wants needs no sign of life.
  if (name == "hold") progress_.pause();
}

void Desk::end_phase() {
  if (!in_phase_) return;
  in_phase_ = false;
  phases_.back().t_end = clock_.now();
  journal_.phase_end(phases_.back().name, phases_.back().t_end);
}

void Desk::progress(const std::string& text, double fraction) {
  stage_text_ = text;
  stage_fraction_ = fraction;
  show();
}

Desk::Counter Desk::shown() const {
  const Counter vms = counter();
  const std::string& text = stage_text_.empty() ? phase_text_ : stage_text_;
  return {vms.text.empty() ? text : vms.text + " (" + text + ")",
          stage_text_.empty() ? vms.fraction : stage_fraction_};
}

void Desk::show() {
  const Counter now = shown();
  progress_.update(now.text, now.fraction);
}

void Desk::failure(const Error& error, const std::string& source) {
  journal_.error({clock_.now(), source, error.what()});
}

void Desk::take(int rank, const std::string& text) {
  const Letter letter = parse_letter(text);
  if (const auto* event = std::get_if<Event>(&letter)) {
    if (!fleet_) return;
    const std::int64_t offset_ns = offsets_ns_.empty() ? 0 : offsets_ns_.at(static_cast<std::size_t>(rank));
    if (const std::optional<VmRow> known = fleet_->apply(*event, clock_, offset_ns)) {
      journal_.vm(*known);
      if (in_phase_) show();
    }
  } else if (const auto* row = std::get_if<NodeRow>(&letter)) {
    journal_.node(*row);
    if (!row->cache_source.empty() && row->cache_source != "none" && row->cache_source != "shared")
      cache_rows_[row->node] = *row;
  }
}

void Desk::tick() {
  journal_.tick();
  progress_.tick();
}

Desk::Counter Desk::counter() const {
  if (!fleet_ || phases_.empty()) return {};
  const std::string& phase = phases_.back().name;
  const auto count = [&](int reached, const std::string& what) {
    std::string text = std::to_string(reached) + " of " + std::to_string(fleet_->size()) + " VMs " + what;
    if (fleet_->failed() > 0) text += ", " + std::to_string(fleet_->failed()) + " failed";
    return Counter{text, static_cast<double>(reached) / std::max(1, fleet_->size())};
  };
  if (phase == "distribute") return count(fleet_->prepared(), "prepared");
  if (phase == "start") return count(fleet_->running(), "running");
  if (phase == "ready") return count(fleet_->ready(), "ready");
  return {};
}

std::string Desk::hosts() const {
  return hosts_text(*fleet_, layout_);
}

int Desk::conclude(const LaunchEnd& end, ExitStatus own) {
  if (!end.failure && fleet_ && fleet_->failed() > 0)
    own = fleet_->all_failures_timed_out() ? ExitStatus::timed_out : ExitStatus::vm_failed;
  Summary summary{.exit_status = static_cast<int>(own),
                  .error = end.failure ? end.failure->what() : "",
                  .record = options_.output.string(),
                  .fleet = fleet_ ? &*fleet_ : nullptr};
  if (options_.command) {
    // CMD's status is the launch's, once it ran; that some VM failed under --keep-going is in the record.
    summary.exit_status = end.failure
                              ? static_cast<int>(exit_status_with_command(own))
                              : end.command_status.value_or(static_cast<int>(ExitStatus::launch_failed));
  }
  phase("record", "writing the record");
  end_phase();
  progress_.pause();
  summary.phases = phases_;
  if (!cache_rows_.empty()) summary.caches = summary_of(cache_rows_);
  if (end.failure) {
    std::string message = end.failure->what();
    if (options_.command)
      message += " (the launch's own status is " + std::to_string(static_cast<int>(own)) + ")";
    log_error(message);
  }
  close_record(end, own, summary);
  if (options_.json) {
    std::cout << summary.to_json().dump(2) << std::endl;
  } else {
    std::cout << summary.to_text() << std::flush;
  }
  return summary.exit_status;
}

void Desk::close_record(const LaunchEnd& end, ExitStatus own, Summary& summary) {
  try {
    if (summary.caches) {
      RunAttributes known;
      known.nodes_held = summary.caches->held;
      journal_.attributes(known);
    }
    journal_.end({outcome(end.failure, own), summary.exit_status, summary.error, clock_.now()});
    journal_.finish();
  } catch (const Error& error) {
    log_error(error.what());
    summary.record.clear();
    if (summary.exit_status == 0) summary.exit_status = static_cast<int>(error.status());
  }
}

}  // namespace vmi
