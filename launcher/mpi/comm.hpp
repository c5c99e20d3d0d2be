// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/error.hpp"

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <mpi.h>

namespace vmi {

/// Throws Error(environment, "what: MPI's own text") unless `code` is MPI_SUCCESS.
void check_mpi(int code, std::string_view what);

/// What the messages between two ranks are about, where several things share a communicator.
enum Tag : int {
  kControlTag = 1,
  kClockTag = 2,
  kMailTag = 3,
  kForwardTag = 4,
  kBackwardTag = 5,
  kEndTag = 6,
  kFirstFlowTag = 10
};

/// Owns one communicator, or borrows one. Communicators return their errors (check_mpi throws them) instead
/// of aborting.
class Comm {
 public:
  Comm() = default;
  explicit Comm(MPI_Comm comm) : comm_(comm), owned_(true) {}
  /// One that lives longer, MPI's own ones among them. To make another costs every rank several rounds of
  /// messages.
  static Comm borrowed(MPI_Comm comm) {
    Comm borrowed(comm);
    borrowed.owned_ = false;
    return borrowed;
  }
  Comm(Comm&& other) noexcept
      : comm_(std::exchange(other.comm_, MPI_COMM_NULL)), owned_(std::exchange(other.owned_, false)) {}
  Comm& operator=(Comm&& other) noexcept {
    std::swap(comm_, other.comm_);
    std::swap(owned_, other.owned_);
    return *this;
  }
  Comm(const Comm&) = delete;
  Comm& operator=(const Comm&) = delete;
  ~Comm();

  MPI_Comm get() const { return comm_; }
  explicit operator bool() const { return comm_ != MPI_COMM_NULL; }
  int rank() const;
  int size() const;

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
  bool owned_ = false;
};

/// Owns one operation in flight, and keeps alive the memory that MPI may still read or write for it.
///
/// A wait that ends early (deadline, stop of the launch) leaves operations that MPI cannot take back: a send
/// whose peer never receives, a collective that others never enter. Such an operation, with its memory, moves
/// to a list of abandoned ones that lives as long as the process. A communicator on which a collective was
/// abandoned must not be used for collectives again.
class Request {
 public:
  Request() = default;
  Request(MPI_Request request, std::shared_ptr<void> memory)
      : request_(request), memory_(std::move(memory)) {}
  Request(Request&& other) noexcept
      : request_(std::exchange(other.request_, MPI_REQUEST_NULL)), memory_(std::move(other.memory_)) {}
  Request& operator=(Request&& other) noexcept {
    std::swap(request_, other.request_);
    std::swap(memory_, other.memory_);
    return *this;
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  ~Request() { abandon(); }

  /// True once the operation is complete; lets MPI make progress. A request that holds nothing is complete.
  bool test();
  /// Gives the operation up: cancelled when MPI can do so, else kept with its memory until the process ends.
  void abandon() noexcept;

 private:
  MPI_Request request_ = MPI_REQUEST_NULL;
  std::shared_ptr<void> memory_;
};

/// Lets abandoned operations finish if they can; returns how many are still in flight.
std::size_t settle_abandoned_requests();

}  // namespace vmi
