// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/log.hpp"

#include <array>
#include <chrono>
#include <ctime>
#include <mutex>

#include <unistd.h>

namespace vmi {
namespace {

struct State {
  std::mutex mutex;
  std::string program = "vmi";
  int rank = -1;
  LogLevel threshold = LogLevel::warning;
  LogSink sink;
  std::function<void()> before;
};

State& state() {
  static State instance;
  return instance;
}

constexpr std::array<std::string_view, 4> kLevelNames = {"error", "warning", "info", "debug"};

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "?";
  return name.data();
}

std::string time_of_day() {
  using namespace std::chrono;
  const auto now = system_clock::now();
  const std::time_t seconds = system_clock::to_time_t(now);
  std::tm local{};
  localtime_r(&seconds, &local);
  std::array<char, 32> text{};
  const std::size_t used = std::strftime(text.data(), text.size(), "%H:%M:%S", &local);
  const auto ms = duration_cast<milliseconds>(now.time_since_epoch()).count() % 1000;
  std::string digits = std::to_string(ms);
  return std::string(text.data(), used) + "." + std::string(3 - digits.size(), '0') + digits;
}

void write_to_stderr(const State& s, LogLevel level, std::string_view text) {
  std::string line;
  if (s.threshold >= LogLevel::info) {
    line = time_of_day() + " " + s.program;
    if (s.rank >= 0) line += "[" + std::to_string(s.rank) + "]@" + host_name();
  } else {
    line = s.program;
  }
  line += ": ";
  if (level != LogLevel::info) line += std::string(kLevelNames[static_cast<std::size_t>(level)]) + ": ";
  line += text;
  line += '\n';
  // A log line that stderr does not take has nowhere else to go.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

void log_identity(std::string_view program, int rank) {
  const std::lock_guard lock(state().mutex);
  state().program = program;
  state().rank = rank;
}

void log_threshold(LogLevel most_detailed) {
  const std::lock_guard lock(state().mutex);
  state().threshold = most_detailed;
}

LogLevel log_threshold() {
  const std::lock_guard lock(state().mutex);
  return state().threshold;
}

void log_sink(LogSink sink) {
  const std::lock_guard lock(state().mutex);
  state().sink = std::move(sink);
}

void log_before(std::function<void()> clear) {
  const std::lock_guard lock(state().mutex);
  state().before = std::move(clear);
}

void log(LogLevel level, std::string_view text) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (level > s.threshold) return;
  if (s.sink) {
    s.sink(level, text);
  } else {
    if (s.before) s.before();
    write_to_stderr(s, level, text);
  }
}

}  // namespace vmi
