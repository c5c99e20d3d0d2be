// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/progress_line.hpp"
#include "launcher/desk/fleet.hpp"
#include "launcher/launch/launch_options.hpp"
#include "launcher/record/journal.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

/// Rank 0's desk: all letters end here, the journal is written here, and progress is shown from here.
class Desk {
 public:
  Desk(const LaunchOptions& options, const LaunchClock& clock, const std::string& command_line, int ranks);

  Journal& journal() { return journal_; }
  ProgressLine& progress() { return progress_; }
  const Fleet& fleet() const { return *fleet_; }
  bool planned() const { return fleet_.has_value(); }

  /// From here on, letters about VMs are understood.
  void plan(std::vector<VmRow> vms);
  /// Nanoseconds to add to each rank's clock to get rank 0's.
  void clock_offsets(std::vector<std::int64_t> offsets_ns) { offsets_ns_ = std::move(offsets_ns); }

  /// Ends the phase before and begins this one; `text` is for people.
  void phase(const std::string& name, const std::string& text);
  void end_phase();
  /// An error of the launch, for the record.
  void failure(const Error& error, const std::string& source);

  /// Takes a letter of rank `rank`: {"event": text}, {"node": NodeRow fields} or {"final": true}.
  void take(int rank, const nlohmann::json& letter);
  int finals() const { return finals_; }
  const std::vector<PhaseRow>& phases() const { return phases_; }
  void tick();

  /// How the nodes came by their caches; nothing while none has said so.
  struct Caches {
    std::int64_t nodes = 0;  ///< that have any
    std::int64_t held = 0;   ///< of these, by an earlier launch's doing
    std::int64_t wire_bytes = 0;
  };
  std::optional<Caches> caches() const;

  /// "ready 3/8" and the like, for the phase that runs.
  std::string counters() const;

 private:
  const LaunchClock& clock_;
  Journal journal_;
  ProgressLine progress_;
  std::optional<Fleet> fleet_;
  std::vector<std::int64_t> offsets_ns_;
  std::map<std::int64_t, NodeRow> cache_rows_;  ///< by node; of those that use caches of their own
  std::vector<PhaseRow> phases_;
  bool in_phase_ = false;
  std::string phase_text_;
  int finals_ = 0;
};

/// A node's row as a letter, and back. Times are on rank 0's clock already.
nlohmann::json node_letter(const NodeRow& row);

}  // namespace vmi
