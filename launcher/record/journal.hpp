// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"
#include "launcher/record/record.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <span>

namespace vmi {

/// For tests: the clock that paces the syncs, and what a sync does.
struct JournalHooks {
  std::function<std::chrono::steady_clock::time_point()> now;  ///< empty: steady_clock
  std::function<void(int fd)>
      sync;  ///< empty: fdatasync(2) on a thread of its own, so that no pump waits for a disk
};

/// Rank 0's journal of a launch: every event is appended to RUN.h5.journal as one line of JSON as it is
/// reported, and reaches the disk within a second. It alone feeds the record: finish() replays it into
/// RUN.h5, as recovery does after a SIGKILL (recover.hpp).
///
/// A disk that fills up in mid-launch stops no VM: lines that could not be written are kept, tried again at
/// each tick(), and used by finish() in any case; one warning says so.
class Journal {
 public:
  /// Starts `output`.journal beside `output`. Throws Error(environment), before anything was started, when
  /// the record could not be written there, or when another launch's journal is in use or of unknown fate
  /// there. The journal of a launch that is known to be dead is moved aside with a warning, never
  /// overwritten.
  static Journal create(const fs::path& output, const RunAttributes& attributes, JournalHooks hooks = {});

  Journal(Journal&&) noexcept;
  Journal& operator=(Journal&&) noexcept;
  ~Journal();  ///< without finish(): the journal stays, for recovery

  // In each row the known fields replace what was known; see record.hpp.
  void attributes(const RunAttributes& known);
  void image(const ImageRow& known);  ///< by url
  void node(const NodeRow& known);    ///< by node
  void vm(const VmRow& known);        ///< by name
  void phase_begin(const std::string& name, double t);
  void phase_end(const std::string& name, double t);  ///< of the last one begun under this name
  void boot_trace(std::span<const BootTraceRow> rows);
  void error(const ErrorRow& error);
  void end(const RunEnd& end);  ///< the last event: makes the record complete

  /// Called often, from the launch's pump: starts a sync when one is due, tries again what could not be
  /// written.
  void tick();

  /// Writes RUN.h5 from the journal (temporary name, sync, rename), then removes the journal. Throws
  /// Error(environment) with the remedy when that fails; the journal then stays.
  void finish();

  const fs::path& output() const;  ///< absolute
  const fs::path& path() const;    ///< the journal's

 private:
  struct State;
  explicit Journal(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace vmi
