// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/progress_line.hpp"

#include "cachegen/support/log.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

namespace vmi {
namespace {

constexpr std::int64_t kLiveInterval_ns = 50'000'000;
constexpr std::int64_t kPlainInterval_ns = 5'000'000'000;

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
  show(text, true);
}

void ProgressLine::update(const std::string& text) {
  show(text, false);
}

void ProgressLine::show(const std::string& text, bool always) {
  if (!enabled_ || text == last_text_) return;
  const std::int64_t now = monotonic_ns();
  if (!always && now - last_shown_ns_ < (live_ ? kLiveInterval_ns : kPlainInterval_ns)) return;
  last_shown_ns_ = now;
  last_text_ = text;
  if (live_) {
    write_stderr("\r\033[K" + fitted(text));
    line_open_ = true;
  } else {
    write_stderr(program_ + ": " + text + "\n");
  }
}

void ProgressLine::finish() {
  if (line_open_) write_stderr("\r\033[K");
  line_open_ = false;
}

}  // namespace vmi
