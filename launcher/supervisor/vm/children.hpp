// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace vmi::supervisor {

/// A process whose parent is this one.
struct ChildProcess {
  int pid = 0;
  int session = 0;
  bool zombie = false;
};

/// By a look through /proc: kernels without CONFIG_PROC_CHILDREN offer nothing better.
std::vector<ChildProcess> list_children();

/// What wait4(2) says of a process that ended.
struct Ended {
  int wait_status = 0;
  double cpu_s = 0;
  std::int64_t rss_bytes = 0;
};

/// Reaps for a child subreaper, prctl(2). libvirt's QEMUs daemonize, so their exit makes them zombies of
/// ours, and libvirt, which waits until their pids are gone, would wait for 40 s. But children of libvirt and
/// of run() are waited for by those who started them and must not be taken away. Who was orphaned into this
/// process can be told by its session: it is not ours, and the process does not lead it (those that do are
/// daemonizing intermediates and spawn()'s new sessions). One thread.
class Reaper {
 public:
  /// Reaps the orphans that have ended. Call soon after SIGCHLD.
  void reap_orphans();

  /// Reaps `pid`, or tells how it ended when reap_orphans() did. Nothing: it runs, or was never ours.
  std::optional<Ended> collect(int pid);

 private:
  std::map<int, Ended> ended_;  ///< orphans reaped and not collected
};

/// Kills every child, and the children that this orphans into us, until none is left. False: some is left at
/// the deadline.
bool kill_children(Deadline deadline);

}  // namespace vmi::supervisor
