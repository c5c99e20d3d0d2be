// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/error.hpp"
#include "cachegen/support/file.hpp"
#include "cachegen/support/log.hpp"
#include "launcher/record/record.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace vmi {

/// How a launch came to its end, as one rank knows it.
struct LaunchEnd {
  std::optional<Error> failure;       ///< what ended the launch early
  std::optional<int> command_status;  ///< CMD's, when it ran to its end
};

/// Who hears what happens in a launch. This one keeps and shows nothing, as on all ranks but the first, where
/// the Desk does.
class Reporter {
 public:
  virtual ~Reporter() = default;

  /// The file from which a record can be made should this process be killed; empty: none.
  virtual fs::path journal() const { return {}; }

  /// A stage begins, and the one before it ends; `text` is for people.
  virtual void phase(const std::string& /*name*/, const std::string& /*text*/) {}
  virtual void end_phase() {}
  /// The stage moved on. `fraction`: 0..1, -1 where it cannot be told.
  virtual void progress(const std::string& /*text*/, double /*fraction*/) {}
  /// Nothing is shown from here on until the next stage: others write to the terminal.
  virtual void leave_terminal() {}

  /// What the launch is going to start. From here on, letters about VMs are understood. `offsets_ns`:
  /// nanoseconds to add to each rank's clock to get rank 0's; empty: none.
  virtual void plan(const std::vector<VmRow>& /*vms*/, const RunAttributes& /*known*/,
                    const std::vector<std::int64_t>& /*offsets_ns*/) {}
  virtual void image(const ImageRow& /*known*/) {}
  virtual void boot_trace(std::span<const BootTraceRow> /*rows*/) {}
  /// An error of the launch.
  virtual void failure(const Error& /*error*/, const std::string& /*source*/) {}

  /// Takes a letter (launch/letter.hpp) of rank `rank`.
  virtual void take(int /*rank*/, const std::string& /*letter*/) {}
  virtual void tick() {}

  /// What $VMILAUNCH_HOSTS names.
  virtual std::string hosts() const { return {}; }

  /// The launch's last act on this rank: closes the record, prints the result. Returns the exit status, `own`
  /// unless it knows better. Throws nothing.
  virtual int conclude(const LaunchEnd& /*end*/, ExitStatus own) { return static_cast<int>(own); }
};

/// Rank 0's where there is no record: before it is open, and in a dry run. Says what failed.
class ErrorsOnly final : public Reporter {
 public:
  int conclude(const LaunchEnd& end, ExitStatus own) override {
    if (end.failure) log_error(end.failure->what());
    return static_cast<int>(own);
  }
};

}  // namespace vmi
