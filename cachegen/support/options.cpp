// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/options.hpp"

#include "cachegen/support/error.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <boost/program_options.hpp>

namespace vmi {
namespace po = boost::program_options;
namespace {

std::string environment_name(const std::string& prefix, const std::string& option) {
  std::string name = prefix + option;
  for (char& c : name) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::string joined(const std::vector<std::string>& words, const std::string& separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

/// Breaks `text` into lines of at most `width` characters.
std::vector<std::string> wrapped(const std::string& text, std::size_t width) {
  std::vector<std::string> lines(1);
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
    at = end + 1;
  }
  return lines;
}

}  // namespace

std::string Options::text(const std::string& name) const {
  const auto value = values_.find(name);
  if (value != values_.end() && !value->second.empty()) return value->second.back();
  const auto fallback = defaults_.find(name);
  if (fallback == defaults_.end()) throw std::logic_error("no option '" + name + "'");
  return fallback->second;
}

std::optional<std::string> Options::given(const std::string& name) const {
  const auto value = values_.find(name);
  if (value == values_.end() || value->second.empty()) return std::nullopt;
  return value->second.back();
}

std::vector<std::string> Options::all(const std::string& name) const {
  const auto value = values_.find(name);
  return value == values_.end() ? std::vector<std::string>{} : value->second;
}

Bytes Options::size(const std::string& name) const {
  try {
    return parse_size(text(name));
  } catch (const Error& error) {
    throw error.in("--" + name);
  }
}

std::chrono::milliseconds Options::duration(const std::string& name) const {
  try {
    return parse_duration(text(name));
  } catch (const Error& error) {
    throw error.in("--" + name);
  }
}

long long Options::number(const std::string& name, long long least, long long most) const {
  const std::string value = text(name);
  long long result = 0;
  const auto [end, status] = std::from_chars(value.data(), value.data() + value.size(), result);
  if (status != std::errc() || end != value.data() + value.size() || result < least || result > most) {
    throw Error(ExitStatus::usage, "--" + name + ": '" + value + "' is not a whole number from " +
                                       std::to_string(least) + " to " + std::to_string(most));
  }
  return result;
}

OptionTable::OptionTable(std::string command, std::string synopsis, std::string summary)
    : command_(std::move(command)), synopsis_(std::move(synopsis)), summary_(std::move(summary)) {
}

OptionTable& OptionTable::group(std::string heading) {
  group_ = std::move(heading);
  return *this;
}

OptionTable& OptionTable::add(OptionSpec spec) {
  spec.group = group_;
  specs_.push_back(std::move(spec));
  return *this;
}

OptionTable& OptionTable::positionals(std::size_t most) {
  most_positionals_ = most;
  return *this;
}

OptionTable& OptionTable::environment_prefix(std::string prefix) {
  environment_prefix_ = std::move(prefix);
  return *this;
}

OptionTable& OptionTable::config_file(std::string path) {
  config_files_.push_back(std::move(path));
  return *this;
}

const OptionSpec* OptionTable::find(const std::string& name) const {
  const auto spec = std::ranges::find(specs_, name, &OptionSpec::name);
  return spec == specs_.end() ? nullptr : &*spec;
}

void OptionTable::accept(Options& options, const OptionSpec& spec, std::vector<std::string> values,
                         const std::string& where) const {
  if (options.values_.contains(spec.name)) return;  // a source of higher precedence has it
  if (!spec.repeatable && values.size() > 1)
    throw Error(ExitStatus::usage, where + " is given more than once");
  for (const std::string& value : values) {
    if (!spec.choices.empty() && std::ranges::find(spec.choices, value) == spec.choices.end()) {
      throw Error(ExitStatus::usage, where + ": '" + value + "' is not one of " + joined(spec.choices, ", "));
    }
  }
  options.values_[spec.name] = std::move(values);
}

void OptionTable::read_environment(Options& options) const {
  if (environment_prefix_.empty()) return;
  for (const OptionSpec& spec : specs_) {
    const std::string name = environment_name(environment_prefix_, spec.name);
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') continue;
    if (!spec.is_flag()) {
      accept(options, spec, {value}, "environment variable " + name);
    } else if (std::string(value) != "0") {
      accept(options, spec, {}, "environment variable " + name);
    }
  }
}

void OptionTable::read_config_files(Options& options) const {
  for (const std::string& path : config_files_) {
    std::ifstream file(path);
    if (!file) continue;  // configuration files are optional
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
      const auto trim = [](const std::string& text) {
        const std::size_t begin = text.find_first_not_of(" \t\r");
        if (begin == std::string::npos) return std::string();
        return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
      };
      line = trim(line);
      if (line.empty() || line[0] == '#') continue;
      const std::string where = path + " line " + std::to_string(number);
      const std::size_t equals = line.find('=');
      const std::string name = trim(line.substr(0, equals));
      const OptionSpec* spec = find(name);
      if (spec == nullptr) throw Error(ExitStatus::usage, where + ": there is no option '" + name + "'");
      const std::string value = equals == std::string::npos ? "" : trim(line.substr(equals + 1));
      if (spec->is_flag() != value.empty()) {
        throw Error(ExitStatus::usage,
                    where + ": '" + name + (spec->is_flag() ? "' takes no value" : "' needs a value"));
      }
      accept(options, *spec, spec->is_flag() ? std::vector<std::string>{} : std::vector<std::string>{value},
             where + ": " + name);
    }
  }
}

Options OptionTable::parse(int argc, const char* const* argv) const {
  Options options;
  for (const OptionSpec& spec : specs_) options.defaults_[spec.name] = spec.default_value;

  std::vector<std::string> words(argv + 1, argv + argc);
  const auto dashes = std::ranges::find(words, "--");
  if (dashes != words.end()) {
    options.command_.emplace(dashes + 1, words.end());
    words.erase(dashes, words.end());
  }

  po::options_description description;
  std::vector<OptionSpec> all = specs_;
  all.push_back({.name = "help", .letter = 'h'});
  all.push_back({.name = "version"});
  all.push_back({.name = "verbose", .letter = 'v', .repeatable = true});
  for (const OptionSpec& spec : all) {
    const std::string names = spec.letter != 0 ? spec.name + "," + spec.letter : spec.name;
    if (spec.is_flag()) {
      description.add_options()(names.c_str(), "");
    } else {
      description.add_options()(names.c_str(), po::value<std::string>(), "");
    }
  }
  try {
    const auto style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    const auto parsed = po::command_line_parser(words).options(description).style(style).run();
    std::map<std::string, std::vector<std::string>> seen;
    for (const auto& option : parsed.options) {
      if (option.position_key >= 0) {
        options.positional_.insert(options.positional_.end(), option.value.begin(), option.value.end());
        continue;
      }
      std::vector<std::string>& values = seen[option.string_key];
      values.insert(values.end(), option.value.begin(), option.value.end());
      // A flag has no value, but how often it came matters for -vv.
      if (option.value.empty()) values.emplace_back();
    }
    for (auto& [name, values] : seen) {
      const auto spec = std::ranges::find(all, name, &OptionSpec::name);
      accept(options, *spec, std::move(values), "--" + name);
    }
  } catch (const po::error& error) {
    throw Error(ExitStatus::usage, std::string(error.what()) + "; see " + command_ + " --help");
  }
  if (options.positional_.size() > most_positionals_) {
    throw Error(ExitStatus::usage, "unexpected argument '" + options.positional_[most_positionals_] +
                                       "'; see " + command_ + " --help");
  }
  read_environment(options);
  read_config_files(options);
  return options;
}

std::string OptionTable::help() const {
  std::string text = "Usage: " + command_ + " " + synopsis_ + "\n" + summary_ + "\n";
  constexpr std::size_t kColumn = 30;
  const auto row = [&text](const OptionSpec& spec) {
    std::string left =
        spec.letter != 0 ? std::string("  -") + spec.letter + ", --" + spec.name : "      --" + spec.name;
    if (!spec.is_flag()) left += " " + (spec.choices.empty() ? spec.metavar : joined(spec.choices, "|"));
    std::string right = spec.help;
    if (spec.repeatable && !spec.is_flag()) right += " Repeatable.";
    if (!spec.default_value.empty()) right += " [" + spec.default_value + "]";
    text += left;
    std::size_t column = left.size();
    if (column + 2 > kColumn) {
      text += "\n";
      column = 0;
    }
    for (const std::string& line : wrapped(right, 110 - kColumn)) {
      text += std::string(kColumn - column, ' ') + line + "\n";
      column = 0;
    }
  };
  std::string group;
  for (const OptionSpec& spec : specs_) {
    if (spec.group != group || &spec == &specs_.front()) {
      group = spec.group;
      text += "\n" + (group.empty() ? std::string("Options") : group) + ":\n";
    }
    row(spec);
  }
  text += "\nGeneral:\n";
  row({.name = "verbose", .letter = 'v', .help = "Say what happens on stderr; twice for every detail."});
  row({.name = "help", .letter = 'h', .help = "Print this help and exit."});
  row({.name = "version", .help = "Print the version and exit."});
  return text;
}

namespace {

/// What a shell offers for an option's value.
struct Offer {
  std::string words;  ///< separated by blanks
  bool files = false;
  bool folders = false;
};

/// From the choices, or from how --help names the value: "auto|none|PATH" is two words and any file.
Offer offer_for(const OptionSpec& spec) {
  if (!spec.choices.empty()) return {.words = joined(spec.choices, " ")};
  Offer offer;
  std::istringstream metavar(spec.metavar.substr(0, spec.metavar.find('[')));
  for (std::string part; std::getline(metavar, part, '|');) {
    if (part == "DIR") {
      offer.folders = true;
    } else if (part == "FILE" || part == "PATH" || part == "IMG" || part == "CACHE" ||
               part.ends_with(".h5")) {
      offer.files = true;
    } else if (part.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string::npos) {
      offer.words += (offer.words.empty() ? "" : " ") + part;
    }
  }
  return offer;
}

/// How a shell is told what to offer. zsh takes a file that is the function's body, bash a function of its
/// own. Both find the word that is being completed in $word, and the option whose value it is in $previous.
struct CompletionShell {
  bool zsh;

  std::string begin(const std::string& program) const {
    // zsh has "--option=value" as one word, bash as three.
    return zsh ? R"(local word=${words[CURRENT]} previous=${words[CURRENT-1]}
  if [[ $word == --*=* ]]; then previous=${word%%=*}; compset -P '*='; fi
)"
               : "_" + program + R"(() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} IFS=$'\n'
  COMPREPLY=()
  if [[ $word == = ]]; then word=; elif [[ $previous == = ]]; then previous=${COMP_WORDS[COMP_CWORD-2]}; fi
)";
  }
  std::string words(const std::string& list) const {
    return zsh ? "compadd -- " + list : "COMPREPLY+=($(IFS=' ' compgen -W '" + list + "' -- \"$word\"))";
  }
  std::string files() const { return zsh ? "_files" : "COMPREPLY+=($(compgen -f -- \"$word\"))"; }
  std::string folders() const { return zsh ? "_files -/" : "COMPREPLY+=($(compgen -d -- \"$word\"))"; }
  std::string all_of(const Offer& offer) const {
    std::string text;
    if (!offer.words.empty()) text += words(offer.words) + "; ";
    if (offer.files) text += files() + "; ";
    if (offer.folders) text += folders() + "; ";
    return text + "return;;\n";
  }
  /// Behind "--": a command and what belongs to it.
  std::string user_command() const {
    return zsh ? "  local dashes=${words[(i)--]}\n"
                 "  if (( dashes < CURRENT )); then shift $dashes words; (( CURRENT -= dashes )); _normal; "
                 "return; fi\n"
               : "  if [[ $previous == -- ]]; then COMPREPLY=($(compgen -c -- \"$word\")); return; fi\n"
                 "  if [[ \" ${COMP_WORDS[*]:0:COMP_CWORD} \" == *$'\\n'--$'\\n'* ]]; then " +
                     files() + "; return; fi\n";
  }
  std::string at_command() const { return zsh ? "(( CURRENT == 2 ))" : "[ \"$COMP_CWORD\" -eq 1 ]"; }
  std::string command() const { return zsh ? "${words[2]}" : "${COMP_WORDS[1]}"; }
  std::string end(const std::string& program) const {
    return "  " + files() + "\n" +
           (zsh ? "" : "}\ncomplete -o filenames -F _" + program + " " + program + "\n");
  }
};

}  // namespace

std::string completion_script(const std::string& shell_name, const std::string& program,
                              const std::map<std::string, const OptionTable*>& tables) {
  const CompletionShell shell{shell_name == "zsh"};
  std::string text = shell.zsh ? "#compdef " + program + "\n" : "";
  text += "# " + shell_name + " completion for " + program + "; made from its option table.\n" +
          shell.begin(program);
  std::string commands;
  for (const auto& [command, table] : tables) commands += (commands.empty() ? "" : " ") + command;
  const bool has_commands = !tables.contains("");
  if (has_commands) {
    text += "  if " + shell.at_command() + "; then " + shell.words(commands + " --help --version") +
            "; return; fi\n";
  } else {
    text += shell.user_command();
  }
  text += "  case " + (has_commands ? shell.command() : std::string("''")) + " in\n";
  for (const auto& [command, table] : tables) {
    text += "  " + (command.empty() ? std::string("''") : command) + ")\n    case $previous in\n";
    std::string names = "--help --version --verbose";
    for (const OptionSpec& spec : table->specs()) {
      names += " --" + spec.name;
      if (spec.is_flag()) continue;
      const std::string letter = spec.letter != 0 ? std::string("|-") + spec.letter : "";
      text += "    --" + spec.name + letter + ") " + shell.all_of(offer_for(spec));
    }
    text += "    esac\n    case $word in -*) " + shell.words(names) + "; return;; esac;;\n";
  }
  return text + "  esac\n" + shell.end(program);
}

}  // namespace vmi
