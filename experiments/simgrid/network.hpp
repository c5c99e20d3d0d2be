// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>

namespace vmi {

double now();  ///< simulated seconds
void at(double when, std::function<void()> what);

/// The nodes' links, whole messages at a time.
///
/// A link carries one message after the other, in each direction. At a node's end the connections to its
/// peers take turns, a message each, as TCP streams share a link; messages of one connection keep their
/// order. At the other end they follow each other as they come. So a message costs the simulation a few
/// events, however many nodes there are. (SimGrid's own models solve for the shares of all streams that touch
/// each other, which for two trees are all, at every event: 16,384 nodes would take weeks.)
void set_up_network(int nodes);

/// Calls `arrived` when the last of `bytes` is at node `to`.
void send_over_network(int from, int to, std::size_t bytes, std::function<void()> arrived);

}  // namespace vmi
