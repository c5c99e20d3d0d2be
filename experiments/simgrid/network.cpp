// SPDX-License-Identifier: Apache-2.0
#include "experiments/simgrid/network.hpp"

#include "experiments/simgrid/model.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <unordered_map>
#include <vector>

#include <simgrid/kernel/Timer.hpp>
#include <simgrid/s4u.hpp>

namespace vmi {
namespace {

/// What is to happen, the soonest on top. SimGrid is told of the next one alone: its own timers are a heap of
/// pieces all over memory, and most of a simulation's time goes into waiting for memory.
class Agenda {
 public:
  void add(double when, std::function<void()> what) {
    entries_.push_back({when, count_++, std::move(what)});
    std::ranges::push_heap(entries_, later);
    wake_at(when);
  }

 private:
  struct Entry {
    double when;
    std::uint64_t number;  // of the same time, the first comes first
    std::function<void()> what;
  };

  static bool later(const Entry& a, const Entry& b) {
    return a.when != b.when ? a.when > b.when : a.number > b.number;
  }

  void wake_at(double when) {
    if (when >= woken_at_) return;
    woken_at_ = when;
    simgrid::kernel::timer::Timer::set(when, [this, when] {
      if (when == woken_at_) run();  // else something sooner has come since
    });
  }

  void run() {
    woken_at_ = std::numeric_limits<double>::infinity();
    while (!entries_.empty() && entries_.front().when <= now()) {
      std::ranges::pop_heap(entries_, later);
      const std::function<void()> what = std::move(entries_.back().what);
      entries_.pop_back();
      what();
    }
    if (!entries_.empty()) wake_at(entries_.front().when);
  }

  std::vector<Entry> entries_;
  std::uint64_t count_ = 0;
  double woken_at_ = std::numeric_limits<double>::infinity();
};

Agenda g_agenda;

struct Sending {
  std::size_t bytes;
  std::function<void()> arrived;
};

struct Connection {
  int to = -1;
  std::vector<Sending> waiting;  // few
  bool open = false;
};

struct Node {
  std::unordered_map<int, Connection> peers;
  std::deque<Connection*> turns;  // open ones with something to send
  bool busy = false;
  double free_from = 0;  // its link, towards it
  double idle_from = 0;  // its processor, which takes messages one by one
};

std::vector<Node> g_nodes;
double g_backbone_free_from = 0;

void send_next(Node& from) {
  if (from.busy || from.turns.empty()) return;
  Connection& connection = *from.turns.front();
  from.turns.pop_front();
  const Sending sending = std::move(connection.waiting.front());
  connection.waiting.erase(connection.waiting.begin());
  if (!connection.waiting.empty()) from.turns.push_back(&connection);

  const double time = static_cast<double>(sending.bytes) / g_model.rate;
  from.busy = true;
  at(now() + time, [&from] {
    from.busy = false;
    send_next(from);
  });
  double begin = now() + 2 * g_model.latency_s;
  if (g_model.backbone > 0) {
    begin = std::max(begin, g_backbone_free_from);
    g_backbone_free_from = begin + static_cast<double>(sending.bytes) / g_model.backbone;
  }
  Node& to = g_nodes[static_cast<std::size_t>(connection.to)];
  to.free_from = std::max(begin, to.free_from) + time;
  to.idle_from = std::max(to.free_from, to.idle_from) + g_model.message_s;
  at(to.idle_from, sending.arrived);
}

}  // namespace

double now() {
  return simgrid::s4u::Engine::get_clock();
}

void at(double when, std::function<void()> what) {
  g_agenda.add(when, std::move(what));
}

void set_up_network(int nodes) {
  g_nodes.resize(static_cast<std::size_t>(nodes));
}

void send_over_network(int from, int to, std::size_t bytes, std::function<void()> arrived) {
  Node& sender = g_nodes[static_cast<std::size_t>(from)];
  Connection& connection = sender.peers[to];
  connection.waiting.push_back({bytes, std::move(arrived)});
  if (connection.waiting.size() > 1) return;
  const auto begin = [&sender, &connection] {
    connection.open = true;
    sender.turns.push_back(&connection);
    send_next(sender);
  };
  connection.to = to;
  if (connection.open) {
    begin();
  } else {
    at(now() + g_model.connect_s, begin);
  }
}

}  // namespace vmi
