// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/progress_line.hpp"
#include "launcher/desk/fleet.hpp"
#include "launcher/desk/reporter.hpp"
#include "launcher/desk/summary.hpp"
#include "launcher/launch/launch_options.hpp"
#include "launcher/record/journal.hpp"
#include "launcher/team/layout.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace vmi {

/// Rank 0's desk: all letters end here, the journal is written here, and progress is shown from here.
class Desk final : public Reporter {
 public:
  /// Starts the journal. Throws as Journal::create().
  Desk(const LaunchOptions& options, const LaunchClock& clock, const std::string& command_line,
       const NodeLayout& layout);

  fs::path journal() const override { return journal_.path(); }
  void phase(const std::string& name, const std::string& text) override;
  void end_phase() override;
  void progress(const std::string& text, double fraction) override;
  void leave_terminal() override { progress_.pause(); }
  void plan(const std::vector<VmRow>& vms, const RunAttributes& known,
            const std::vector<std::int64_t>& offsets_ns) override;
  void image(const ImageRow& known) override { journal_.image(known); }
  void boot_trace(std::span<const BootTraceRow> rows) override { journal_.boot_trace(rows); }
  void failure(const Error& error, const std::string& source) override;
  void take(int rank, const std::string& letter) override;
  void tick() override;
  std::string hosts() const override;
  int conclude(const LaunchEnd& end, ExitStatus own) override;

 private:
  /// How many VMs have reached what the phase waits for, as text and as a fraction.
  struct Counter {
    std::string text;
    double fraction = -1;
  };
  Counter counter() const;
  /// What the progress line says now.
  Counter shown() const;
  void show();
  void close_record(const LaunchEnd& end, ExitStatus own, Summary& summary);

  const LaunchOptions& options_;
  LaunchClock clock_;
  NodeLayout layout_;
  Journal journal_;
  ProgressLine progress_;
  std::optional<Fleet> fleet_;
  std::vector<std::int64_t> offsets_ns_;
  std::map<std::int64_t, NodeRow> cache_rows_;  ///< by node; of those that use caches of their own
  std::vector<PhaseRow> phases_;
  bool in_phase_ = false;
  std::string phase_text_;
  std::string stage_text_;  ///< of progress(), which tells more than the phase does
  double stage_fraction_ = -1;
};

}  // namespace vmi
