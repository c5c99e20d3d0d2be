// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/fd.hpp"
#include "launcher/mpi/wait.hpp"

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmi {

/// Notices that a rank's process or node is gone. MPI does not say so, and neither srun nor Slurm ends a job
/// for it (its KillOnBadExit is off by default): without this the others would wait for their deadlines.
///
/// The ranks form a ring of TCP connections on which nothing is sent. The kernel closes those of a process
/// that ends, whatever it ends of, and keep-alive probes give up on a node that is silent for 17 s; a rank
/// that is busy with something else answers them all the same. Where a connection cannot be made (a
/// firewall), its two ranks do without.
class Lifeline {
 public:
  struct Lost {
    int rank = -1;
    std::string node;  ///< its node's key
  };

  /// Collective. Connections are made later, by lost().
  Lifeline(const Comm& world, std::string_view node_key, const Waiter& waiter);

  /// A neighbour that is gone, from then on. Cheap; for every pump().
  std::optional<Lost> lost();

  /// Says that this rank ends in order, so that its neighbours do not miss it.
  void close();

  /// Whether both connections stand; for tests.
  bool complete() const { return lines_[0].open() && lines_[1].open(); }

 private:
  /// A connection to the rank before or after this one.
  struct Line {
    int rank = -1;
    std::string node;
    Fd socket;
    bool greeted = false;  ///< the other side has said who it is
    bool ended = false;    ///< it has said that it ends, or there will be no connection
    bool open() const { return socket && greeted && !ended; }
  };

  void connect_next();
  void take_visitor();
  void greet_visitors();
  bool watch(Line& line);

  std::string token_;  ///< of this rank; who connects has to know it
  Fd listener_;
  std::array<Line, 2> lines_;           ///< to the rank before, which connects to us, and to the rank after
  std::vector<Fd> visitors_;            ///< connected, and have not yet told the token
  std::vector<std::string> addresses_;  ///< of the rank after, still to be tried
  std::string its_token_;
  bool token_sent_ = false;
  int its_port_ = 0;
  std::optional<Lost> gone_;
  Deadline try_end_;
  Deadline next_look_;
};

}  // namespace vmi
