// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/file.hpp"
#include "cachegen/support/names.hpp"

#include <memory>
#include <string>
#include <string_view>

#include <regex.h>

namespace vmi {

/// What counts as "the guest is ready":
/// serial:REGEX: a line of the serial console, or its unfinished last one, matches (POSIX extended,
/// regex(7)); agent: the QEMU guest agent answers a ping; ssh: the guest's port 22 sends its "SSH-" banner;
/// exit: the guest shuts itself down; none: at once, when the guest is running.
struct ReadySpec {
  enum class Kind { serial, agent, ssh, exit, none } kind = Kind::serial;
  std::string pattern = "login: ";  ///< of `serial`

  /// Throws Error(usage) for unknown kinds and bad expressions.
  static ReadySpec parse(std::string_view text);
  std::string to_text() const;

  /// What the VM must have for it.
  bool needs_agent_channel() const { return kind == Kind::agent; }
  bool needs_ssh_forward() const { return kind == Kind::ssh; }
};

template <>
inline constexpr NameTable<ReadySpec::Kind, 5> kNames<ReadySpec::Kind>{"readiness",
                                                                       {{{ReadySpec::Kind::serial, "serial"},
                                                                         {ReadySpec::Kind::agent, "agent"},
                                                                         {ReadySpec::Kind::ssh, "ssh"},
                                                                         {ReadySpec::Kind::exit, "exit"},
                                                                         {ReadySpec::Kind::none, "none"}}}};

/// As text.
void to_json(nlohmann::json& json, const ReadySpec& spec);
void from_json(const nlohmann::json& json, ReadySpec& spec);

/// A compiled POSIX extended regular expression. glibc matches it without recursion on the text, so no
/// console output can overflow the stack, as std::regex can.
class LineRegex {
 public:
  explicit LineRegex(const std::string& expression);  ///< throws Error(usage)
  bool matches(const std::string& line) const;        ///< anywhere in the line; NUL bytes end it

 private:
  struct Free {
    void operator()(regex_t* regex) const;
  };
  std::unique_ptr<regex_t, Free> regex_;
};

/// Watches a serial log that grows. The owner's loop decides when to look: on a change of the file, or now
/// and then.
class SerialWatch {
 public:
  /// An empty expression never matches; the log may not exist yet.
  SerialWatch(fs::path log, const std::string& expression);

  /// Reads what was added; true once a line has matched, and from then on.
  bool matched_after_read();
  const fs::path& log() const { return log_; }
  /// The last lines, without what would upset a terminal; for messages.
  std::string last_lines(int count) const;

 private:
  void accept(std::string_view added);
  void match_line();

  fs::path log_;
  std::unique_ptr<LineRegex> regex_;
  Fd file_;
  std::string line_;  ///< the unfinished last line; of a longer one only its end
  bool matched_ = false;
};

/// The last `count` lines of console output with escape sequences and control characters taken out.
std::string printable_tail(std::string_view console, int count);

}  // namespace vmi
