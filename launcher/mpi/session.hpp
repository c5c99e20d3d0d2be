// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/control.hpp"

#include <memory>

namespace vmi {

/// MPI from MPI_Init to MPI_Finalize. Only the thread that made it may call MPI; other threads may exist.
class Session {
 public:
  /// `own_settings`: with what settings.hpp chooses of MPI's.
  Session(int* argc, char*** argv, Deadline deadline, bool own_settings = true);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  /// Without finalize() before it, all ranks are ended when this process exits, with its status: somebody
  /// would wait for this one for ever.
  ~Session();

  int rank() const { return world_.rank(); }
  int ranks() const { return world_.size(); }
  const Comm& world() const { return world_; }
  Control& control() { return *control_; }

  /// Waits for all ranks, also after a wait on world() was given up (Request explains), then leaves MPI. When
  /// some rank does not come, or MPI_Finalize itself hangs, says so and ends the process with `status`, in
  /// the first case all others with it.
  void finalize(Deadline deadline, ExitStatus status = ExitStatus::timed_out);

 private:
  bool finalized_ = false;
  Comm world_;
  std::unique_ptr<Control> control_;
};

}  // namespace vmi
