// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace vmi {

enum class LogLevel { error, warning, info, debug };

/// Where log lines go. Libraries only ever call log(); a program chooses the sink.
using LogSink = std::function<void(LogLevel, std::string_view line)>;

/// Sets the program's name, and the rank shown in each line (-1: none), for the default sink (stderr, one
/// write(2) a line: "12:30:01.123 vmilaunch[3]@node7: warning: text"; without -v just "vmilaunch: warning:
/// text").
void log_identity(std::string_view program, int rank = -1);
void log_threshold(LogLevel most_detailed);
LogLevel log_threshold();
void log_sink(LogSink sink);
/// Called before each line of the default sink: a program that shows something on the terminal clears it.
/// Empty: nothing is.
void log_before(std::function<void()> clear);

void log(LogLevel level, std::string_view text);
inline void log_error(std::string_view text) {
  log(LogLevel::error, text);
}
inline void log_warning(std::string_view text) {
  log(LogLevel::warning, text);
}
inline void log_info(std::string_view text) {
  log(LogLevel::info, text);
}
inline void log_debug(std::string_view text) {
  log(LogLevel::debug, text);
}

}  // namespace vmi
