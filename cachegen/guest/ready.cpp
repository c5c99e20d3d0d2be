// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/ready.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmi {
namespace {

/// Of a line without end, only so much is kept and matched.
constexpr std::size_t kLongestLine = 4 * KiB;
/// How much of a log's end last_lines() looks at.
constexpr Bytes kTail = 16 * KiB;

constexpr std::string_view kSerial = "serial:";

/// The index behind the escape sequence that begins at `at` (ECMA-48: CSI, OSC and two-character ones).
std::size_t end_of_escape(std::string_view text, std::size_t at) {
  if (at + 1 >= text.size()) return text.size();
  std::size_t i = at + 2;
  if (text[at + 1] == '[') {
    while (i < text.size() && (text[i] < '@' || text[i] > '~')) ++i;
    return std::min(i + 1, text.size());
  }
  if (text[at + 1] == ']') {
    while (i < text.size() && text[i] != '\a' && text[i] != '\x1b') ++i;
    return i < text.size() && text[i] == '\a' ? i + 1 : i;
  }
  return i;
}

}  // namespace

ReadySpec ReadySpec::parse(std::string_view text) {
  for (const auto& [kind, name] : kNames<Kind>.names) {
    if (text == name && kind != Kind::serial) return {.kind = kind, .pattern = ""};
  }
  if (!text.starts_with(kSerial)) {
    throw Error(
        ExitStatus::usage,
        "'" + std::string(text) + "' is no readiness; known are serial:REGEX, agent, ssh, exit and none");
  }
  ReadySpec spec{.kind = Kind::serial, .pattern = std::string(text.substr(kSerial.size()))};
  if (spec.pattern.empty()) {
    throw Error(ExitStatus::usage, "'serial:' needs an expression behind it, such as 'serial:login: '");
  }
  LineRegex check(spec.pattern);
  return spec;
}

std::string ReadySpec::to_text() const {
  return kind == Kind::serial ? std::string(kSerial) + pattern : vmi::to_text(kind);
}

void to_json(nlohmann::json& json, const ReadySpec& spec) {
  json = spec.to_text();
}

void from_json(const nlohmann::json& json, ReadySpec& spec) {
  spec = ReadySpec::parse(json.get<std::string>());
}

void LineRegex::Free::operator()(regex_t* regex) const {
  regfree(regex);
  delete regex;
}

LineRegex::LineRegex(const std::string& expression) {
  auto compiled = std::make_unique<regex_t>();
  if (const int status = regcomp(compiled.get(), expression.c_str(), REG_EXTENDED | REG_NOSUB); status != 0) {
    std::array<char, 256> reason{};
    regerror(status, compiled.get(), reason.data(), reason.size());
    throw Error(ExitStatus::usage, "bad regular expression '" + expression + "': " + reason.data());
  }
  regex_.reset(compiled.release());
}

bool LineRegex::matches(const std::string& line) const {
  return regexec(regex_.get(), line.c_str(), 0, nullptr, 0) == 0;
}

SerialWatch::SerialWatch(fs::path log, const std::string& expression) : log_(std::move(log)) {
  if (!expression.empty()) regex_ = std::make_unique<LineRegex>(expression);
}

bool SerialWatch::matched_after_read() {
  if (matched_ || !regex_) return matched_;
  if (!file_) {
    file_.reset(open(log_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file_ && errno == ENOENT) return false;  // QEMU has not made it yet
    if (!file_) throw_errno(ExitStatus::environment, "cannot open the serial log '" + log_.string() + "'");
  }
  std::array<char, 16384> chunk;
  while (!matched_) {
    const ssize_t n = read(file_.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno(ExitStatus::environment, "cannot read the serial log '" + log_.string() + "'");
    if (n == 0) break;
    accept({chunk.data(), static_cast<std::size_t>(n)});
  }
  return matched_;
}

void SerialWatch::accept(std::string_view added) {
  for (const char c : added) {
    if (c == '\n') {
      match_line();
      line_.clear();
    } else if (c != '\r' && c != '\0') {
      // Matching the full buffer before half of it goes keeps what lies across the cut findable.
      if (line_.size() == kLongestLine) {
        match_line();
        line_.erase(0, kLongestLine / 2);
      }
      line_ += c;
    }
  }
  match_line();
}

void SerialWatch::match_line() {
  matched_ = matched_ || regex_->matches(line_);
}

std::string SerialWatch::last_lines(int count) const {
  try {
    const Fd file = open_file(log_, O_RDONLY);
    struct stat status {};
    if (fstat(file.get(), &status) != 0) return {};
    const Bytes size = static_cast<Bytes>(status.st_size);
    const Bytes length = std::min(size, kTail);
    std::string tail(length, '\0');
    pread_all(file, std::as_writable_bytes(std::span(tail)), size - length, log_);
    return printable_tail(tail, count);
  } catch (const Error&) {
    return {};  // only decorates another error
  }
}

std::string printable_tail(std::string_view console, int count) {
  std::vector<std::string> lines(1);
  for (std::size_t i = 0; i < console.size();) {
    const auto c = static_cast<unsigned char>(console[i]);
    if (c == 0x1b) {
      i = end_of_escape(console, i);
      continue;
    }
    if (c == '\n') {
      if (!lines.back().empty()) lines.emplace_back();
    } else if (c == '\t') {
      lines.back() += ' ';
    } else if (c >= 0x20 && c != 0x7f) {
      lines.back() += console[i];
    }
    ++i;
  }
  if (lines.back().empty()) lines.pop_back();
  const std::size_t first =
      lines.size() - std::min(lines.size(), static_cast<std::size_t>(std::max(count, 0)));
  std::string text;
  for (std::size_t i = first; i < lines.size(); ++i) text += (text.empty() ? "" : "\n") + lines[i];
  return text;
}

}  // namespace vmi
