// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/progress_line.hpp"

#include "cachegen/support/log.hpp"

#include <algorithm>

#include <sys/ioctl.h>
#include <unistd.h>

namespace vmi {
namespace {

constexpr std::int64_t kSecond_ns = 1'000'000'000;
constexpr std::int64_t kLiveInterval_ns = kSecond_ns / 10;
constexpr int kBarWidth = 24;

void write_stderr(const std::string& text) {
  // Progress that stderr does not take is not worth a failure.
  [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, text.data(), text.size());
}

/// Cut to the terminal's width: a line that wraps cannot be rewritten in place.
std::string fitted(const std::string& text) {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return text;
  return text.substr(0, size.ws_col - 1U);
}

std::string bar(double fraction) {
  const auto full = static_cast<std::size_t>(std::clamp(fraction, 0.0, 1.0) * kBarWidth);
  return "[" + std::string(full, '#') + std::string(kBarWidth - full, '.') + "] ";
}

/// Between two lines of a log in a stage that has lasted so long.
std::int64_t plain_interval_ns(std::int64_t stage_ns) {
  return std::clamp(stage_ns / 5, 5 * kSecond_ns, 60 * kSecond_ns);
}

}  // namespace

ProgressLine::ProgressLine(std::string program, bool enabled)
    : program_(std::move(program)), enabled_(enabled), live_(isatty(STDERR_FILENO) == 1) {
  log_before([this] { finish(); });
}

ProgressLine::~ProgressLine() {
  log_before({});
  finish();
}

void ProgressLine::stage(const std::string& text) {
  paused_ = false;
  text_ = text;
  fraction_ = -1;
  stage_ns_ = monotonic_ns();
  show(stage_ns_);
}

void ProgressLine::update(const std::string& text, double fraction) {
  text_ = text;
  fraction_ = fraction;
  tick();
}

void ProgressLine::tick() {
  if (!enabled_ || paused_) return;
  const std::int64_t now = monotonic_ns();
  const std::int64_t interval = live_ ? kLiveInterval_ns : plain_interval_ns(now - stage_ns_);
  if (now - shown_ns_ >= interval) show(now);
}

void ProgressLine::pause() {
  finish();
  paused_ = true;
}

std::string ProgressLine::line(std::int64_t now_ns) const {
  const std::int64_t seconds = (now_ns - stage_ns_) / kSecond_ns;
  std::string text = live_ && fraction_ >= 0 ? bar(fraction_) + text_ : text_;
  if (seconds > 0) text += ", " + std::to_string(seconds) + " s";
  return text;
}

void ProgressLine::show(std::int64_t now_ns) {
  if (!enabled_) return;
  shown_ns_ = now_ns;
  if (live_) {
    write_stderr("\r\033[K" + fitted(line(now_ns)));
    line_open_ = true;
  } else {
    write_stderr(program_ + ": " + line(now_ns) + "\n");
  }
}

void ProgressLine::finish() {
  if (line_open_) write_stderr("\r\033[K");
  line_open_ = false;
}

}  // namespace vmi
