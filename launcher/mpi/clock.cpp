// SPDX-License-Identifier: Apache-2.0
// A child sends a ping, its parent answers with its own clock. The answer was written somewhere between the
// ping's departure and the pong's arrival, so that their middle is wrong by at most half the round trip: that
// is the error bound, whatever delays the network or a busy processor added. The shortest of several round
// trips counts.
#include "launcher/mpi/clock.hpp"

#include "cachegen/support/units.hpp"
#include "launcher/mpi/collective.hpp"

#include <limits>

#include <sched.h>

namespace vmi {
namespace {

constexpr int kRounds = 12;
constexpr std::string_view kWhat = "the clocks of all nodes";

struct Message {
  std::int64_t clock_ns;
  ClockOffset parent;
};

/// Waits without naps: a nap would lengthen the round trip.
void wait_awake(Request& request, const Waiter& waiter, int peer) {
  while (!request.test()) {
    if (waiter.pump) waiter.pump();
    if (waiter.deadline.passed()) {
      throw Error(ExitStatus::timed_out, "timed out waiting for the clock of node " + std::to_string(peer));
    }
    sched_yield();
  }
}

class Exchange {
 public:
  Exchange(const Comm& comm, const Waiter& waiter, int peer) : comm_(comm), waiter_(waiter), peer_(peer) {}

  void send(const Message& message) {
    auto memory = std::make_shared<Message>(message);
    MPI_Request raw = MPI_REQUEST_NULL;
    check_mpi(MPI_Isend(memory.get(), sizeof(Message), MPI_BYTE, peer_, kClockTag, comm_.get(), &raw), kWhat);
    Request request(raw, memory);
    wait_awake(request, waiter_, peer_);
  }

  Message receive() {
    auto memory = std::make_shared<Message>();
    MPI_Request raw = MPI_REQUEST_NULL;
    check_mpi(MPI_Irecv(memory.get(), sizeof(Message), MPI_BYTE, peer_, kClockTag, comm_.get(), &raw), kWhat);
    Request request(raw, memory);
    wait_awake(request, waiter_, peer_);
    return *memory;
  }

 private:
  const Comm& comm_;
  const Waiter& waiter_;
  int peer_;
};

ClockOffset measure_against(Exchange parent) {
  ClockOffset best{0, std::numeric_limits<std::int64_t>::max()};
  for (int round = 0; round < kRounds; ++round) {
    const std::int64_t sent = monotonic_ns();
    parent.send({});
    const Message pong = parent.receive();
    const std::int64_t received = monotonic_ns();
    const std::int64_t error = (received - sent + 1) / 2 + pong.parent.error_ns;
    if (error < best.error_ns) {
      best = {pong.clock_ns + pong.parent.offset_ns - (sent + (received - sent) / 2), error};
    }
  }
  return best;
}

}  // namespace

ClockOffset measure_clock(const RankGroups& layout, const Waiter& waiter) {
  ClockOffset own;
  if (layout.one_clock) return own;
  if (layout.leader) {
    // Binomial tree: the parent of a node is its number without the lowest set bit.
    const int node = layout.node;
    const int lowest = node & -node;
    if (node != 0) own = measure_against(Exchange(layout.leaders, waiter, node - lowest));
    int step = 1;
    while (step < (node == 0 ? layout.nodes : lowest)) step *= 2;
    for (step /= 2; step > 0; step /= 2) {
      if (node + step >= layout.nodes) continue;
      Exchange child(layout.leaders, waiter, node + step);
      for (int round = 0; round < kRounds; ++round) {
        child.receive();
        child.send({monotonic_ns(), own});
      }
    }
  }
  std::string bytes(reinterpret_cast<const char*>(&own), sizeof own);
  broadcast(layout.node_comm, bytes, 0, waiter, kWhat);
  bytes.copy(reinterpret_cast<char*>(&own), sizeof own);
  return own;
}

}  // namespace vmi
