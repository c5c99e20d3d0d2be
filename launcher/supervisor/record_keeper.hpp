// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "launcher/record/events.hpp"

namespace vmi::supervisor {

/// Finishes the record of a rank that dies before it could: mpirun, for one, kills its ranks a second after
/// it told them to end.
class RecordKeeper {
 public:
  /// `journal`: of the rank, which lives. Throws Error(environment) when it is none.
  explicit RecordKeeper(fs::path journal);

  /// Makes the record of the journal when the rank has died and left it; nothing when the rank finished its
  /// record, or lives on and has said why not. False: still at it at the deadline (a file system that hangs),
  /// in a thread that only _exit(2) ends; the journal then stays.
  bool finish(Deadline deadline);

 private:
  fs::path journal_;
  JournalHeader header_;
};

}  // namespace vmi::supervisor
