// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/record/record.hpp"
#include "launcher/supervisor/ipc/protocol.hpp"

#include <string>
#include <string_view>
#include <variant>

namespace vmi {

// What ranks write to rank 0. A letter is one character that tells its kind, then its text: an event goes on
// as the supervisor wrote it.

using Letter = std::variant<Event, NodeRow>;

std::string event_letter(std::string_view event_text);
/// The row's known fields. Times are on rank 0's clock already.
std::string node_letter(const NodeRow& row);
/// This rank sends no more letters; says nothing else.
std::string last_letter();
bool is_last_letter(const std::string& text);

/// Throws Error(environment) for what none of these made.
Letter parse_letter(const std::string& text);

}  // namespace vmi
