// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/scheme.hpp"

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace vmi {

/// The two ends of a stream of bytes. Neither waits: they take or give what they can now.
struct StreamEnds {
  /// Source: fills `into` from its front, returns how far; 0 when nothing is there yet.
  std::function<std::size_t(std::span<std::byte> into)> produce = {};
  /// Source: nothing more will come from produce().
  std::function<bool()> finished = {};
  /// Receivers: takes from the front of `from`, returns how far; less when it has no room now.
  std::function<std::size_t(std::span<const std::byte> from)> consume = {};
};

/// Moves one stream of bytes, of a length not known before, from a source to all participants along their
/// Routes.
///
/// The stream is cut into numbered pieces, one MPI message each. A participant keeps `window` receives posted
/// for each parent and passes each piece on to its children as soon as it is there, before it looks at it.
/// Sends are synchronous (MPI_Issend), at most `window` in flight to a child: a sender cannot run ahead of
/// its receivers' buffers, so that memory is bounded whatever MPI calls eager. No thread, no wait: the owner
/// calls step().
///
/// It cannot deadlock: let i be the first piece that somebody lacks. All before it are consumed or will be,
/// so that their buffers come free everywhere; pieces arrive in order on each edge, so that no later piece of
/// i's tree can have taken the buffer that i needs; hence i moves on.
class Flow {
 public:
  /// `route`: this rank's neighbours, as ranks of `comm`. With ends to produce it is the source.
  Flow(const Comm& comm, const Route& route, const DistributeOptions& options, StreamEnds ends);
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;
  /// Operations still in flight are given up (Request).
  ~Flow();

  /// Does what can be done now; returns whether anything moved.
  bool step();
  bool done() const;
  Bytes bytes() const { return bytes_; }  ///< of the stream, produced or consumed so far
  /// What it waits for, for the message of a deadline: "data from rank 3; rank 5 to take data".
  std::string waiting_for() const;

 private:
  struct Piece;
  struct Child;
  struct Tree;
  struct Operation;

  std::shared_ptr<Piece> free_piece(Tree& tree);
  void complete_operations();
  bool take_arrivals(Tree& tree);
  bool produce();
  bool consume();
  bool post_receives(Tree& tree);
  bool post_sends(Tree& tree);

  const Comm& comm_;
  std::size_t piece_bytes_;
  std::size_t window_;
  StreamEnds ends_;
  bool source_;
  std::vector<Tree> trees_;
  std::vector<MPI_Request> requests_;  // of operations_, same order
  std::vector<Operation> operations_;
  std::vector<int> completed_;        // scratch of MPI_Testsome
  std::uint64_t next_ = 0;            // number of the piece to produce or consume next
  std::size_t consumed_of_next_ = 0;  // bytes of it
  bool ended_ = false;                // source: the ends were queued
  Bytes bytes_ = 0;
};

}  // namespace vmi
