// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/wait.hpp"

#include <deque>
#include <list>
#include <optional>
#include <string>

namespace vmi {

/// Letters from every rank to rank 0: what happened to whose VM. Nothing here waits: sends and receives are
/// started and tested. Letters of one rank arrive in the order in which it posted them.
class Mailbox {
 public:
  struct Letter {
    int rank = 0;
    std::string text;
  };

  /// One for each communicator, which outlives it: its messages are told from others by their tag.
  explicit Mailbox(const Comm& world);

  void post(std::string text);
  /// The next letter that arrived whole; only rank 0 gets any. Lets pending sends make progress too.
  std::optional<Letter> poll();
  bool all_sent();

 private:
  void start_receives();

  struct Incoming {
    int rank;
    std::shared_ptr<std::string> text;
    Request request;
  };
  Comm comm_;
  int rank_;
  std::list<Request> outgoing_;
  std::deque<Incoming> incoming_;  ///< in the order of arrival
  std::deque<Letter> own_;         ///< rank 0's letters to itself
};

}  // namespace vmi
