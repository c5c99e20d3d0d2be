// SPDX-License-Identifier: Apache-2.0
#include "experiments/simgrid/network.hpp"

#include "experiments/simgrid/model.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <vector>

#include <simgrid/kernel/Timer.hpp>
#include <simgrid/s4u.hpp>

namespace vmi {
namespace {

struct Sending {
  std::size_t bytes;
  std::function<void()> arrived;
};

struct Connection {
  std::vector<Sending> waiting;  // few
  bool open = false;
};

struct Node {
  std::unordered_map<int, Connection> peers;
  std::deque<int> turns;  // peers with something to send, whose connection is open
  bool busy = false;
  double free_from = 0;  // its link, towards it
  double idle_from = 0;  // its processor, which takes messages one by one
};

std::vector<Node> g_nodes;
double g_backbone_free_from = 0;

void send_next(int from);

void queue(int from, int to, Connection& connection, Sending sending) {
  connection.waiting.push_back(std::move(sending));
  if (!connection.open || connection.waiting.size() > 1) return;
  g_nodes[static_cast<std::size_t>(from)].turns.push_back(to);
  send_next(from);
}

void send_next(int from) {
  Node& node = g_nodes[static_cast<std::size_t>(from)];
  if (node.busy || node.turns.empty()) return;
  const int to = node.turns.front();
  node.turns.pop_front();
  auto& waiting = node.peers[to].waiting;
  Sending sending = std::move(waiting.front());
  waiting.erase(waiting.begin());
  if (!waiting.empty()) node.turns.push_back(to);

  const double time = static_cast<double>(sending.bytes) / g_model.rate;
  node.busy = true;
  at(now() + time, [from] {
    g_nodes[static_cast<std::size_t>(from)].busy = false;
    send_next(from);
  });
  double begin = now() + 2 * g_model.latency_s;
  if (g_model.backbone > 0) {
    begin = std::max(begin, g_backbone_free_from);
    g_backbone_free_from = begin + static_cast<double>(sending.bytes) / g_model.backbone;
  }
  double& free_from = g_nodes[static_cast<std::size_t>(to)].free_from;
  free_from = std::max(begin, free_from) + time;
  double& idle_from = g_nodes[static_cast<std::size_t>(to)].idle_from;
  idle_from = std::max(free_from, idle_from) + g_model.message_s;
  at(idle_from, std::move(sending.arrived));
}

}  // namespace

double now() {
  return simgrid::s4u::Engine::get_clock();
}

void at(double when, std::function<void()> what) {
  simgrid::kernel::timer::Timer::set(when, std::move(what));
}

void set_up_network(int nodes) {
  g_nodes.resize(static_cast<std::size_t>(nodes));
}

void send_over_network(int from, int to, std::size_t bytes, std::function<void()> arrived) {
  Connection& connection = g_nodes[static_cast<std::size_t>(from)].peers[to];
  const bool is_new = !connection.open && connection.waiting.empty();
  queue(from, to, connection, {bytes, std::move(arrived)});
  if (!is_new) return;
  at(now() + g_model.connect_s, [from, to, &connection] {
    connection.open = true;
    g_nodes[static_cast<std::size_t>(from)].turns.push_back(to);
    send_next(from);
  });
}

}  // namespace vmi
