// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/units.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace vmi {

/// One row of a command's option table. Parsing, --help and shell completion all come from the table.
struct OptionSpec {
  std::string name;                  ///< long name without dashes
  char letter = 0;                   ///< short name; 0: none
  std::string metavar;               ///< empty: a flag without a value
  std::string default_value;         ///< shown by --help; empty: none
  std::string help;                  ///< one sentence, shown by --help
  std::vector<std::string> choices;  ///< the allowed values; empty: free text
  bool repeatable = false;
  std::string group;  ///< heading in --help
  bool is_flag() const { return metavar.empty(); }
};

/// Options as given, by precedence: command line, environment, user's configuration file, system's.
class Options {
 public:
  bool has(const std::string& name) const { return values_.contains(name); }  ///< given anywhere
  bool flag(const std::string& name) const { return has(name); }
  /// The value given or the default; throws std::logic_error for a name that the table does not have.
  std::string text(const std::string& name) const;
  std::optional<std::string> given(const std::string& name) const;
  std::vector<std::string> all(const std::string& name) const;
  Bytes size(const std::string& name) const;                          ///< errors name the option
  std::chrono::milliseconds duration(const std::string& name) const;  ///< errors name the option
  /// A whole number within [least, most]; errors name the option.
  long long number(const std::string& name, long long least, long long most) const;

  const std::vector<std::string>& positional() const { return positional_; }
  /// What stood behind "--"; nothing when there was no "--".
  const std::optional<std::vector<std::string>>& command() const { return command_; }

 private:
  friend class OptionTable;
  std::map<std::string, std::vector<std::string>> values_;
  std::map<std::string, std::string> defaults_;
  std::vector<std::string> positional_;
  std::optional<std::vector<std::string>> command_;
};

class OptionTable {
 public:
  /// `command`: "vmicache build"; `synopsis`: what follows it on the usage line; `summary`: one sentence.
  OptionTable(std::string command, std::string synopsis, std::string summary);

  OptionTable& group(std::string heading);
  OptionTable& add(OptionSpec spec);
  /// At most this many words that are not options; more is a usage error.
  OptionTable& positionals(std::size_t most);
  /// Options are also read from PREFIX_LONG_NAME in the environment.
  OptionTable& environment_prefix(std::string prefix);
  /// Options are also read from this file's "long-name = value" lines; earlier files win.
  OptionTable& config_file(std::string path);

  /// Throws Error(usage) for unknown options, missing or excess values and values outside `choices`.
  /// --help, --version and --verbose (-v, repeatable) are in every table.
  Options parse(int argc, const char* const* argv) const;

  std::string help() const;
  const std::vector<OptionSpec>& specs() const { return specs_; }

 private:
  const OptionSpec* find(const std::string& name) const;
  void accept(Options& options, const OptionSpec& spec, std::vector<std::string> values,
              const std::string& where) const;
  void read_environment(Options& options) const;
  void read_config_files(Options& options) const;

  std::string command_;
  std::string synopsis_;
  std::string summary_;
  std::string group_;
  std::vector<OptionSpec> specs_;
  std::size_t most_positionals_ = 0;
  std::string environment_prefix_;
  std::vector<std::string> config_files_;
};

/// A shell completion script for a program made of `tables` (one per subcommand; the table of a program
/// without subcommands has an empty key). `shell` is "bash" or "zsh".
std::string completion_script(const std::string& shell, const std::string& program,
                              const std::map<std::string, const OptionTable*>& tables);

}  // namespace vmi
