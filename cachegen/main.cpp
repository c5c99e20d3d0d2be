// SPDX-License-Identifier: Apache-2.0
// vmicache: profiles the boot of an image, makes boot caches and keeps them. One file cmd_NAME.cpp a
// subcommand.
#include "cachegen/command.hpp"
#include "cachegen/support/log.hpp"

#include <array>
#include <filesystem>
#include <iostream>
#include <map>

namespace {

using namespace vmi;

constexpr const char* kHelp =
    "Usage: vmicache COMMAND [options]\n"
    "Profiles the boot of a VM image, makes boot caches, checks and keeps them.\n"
    "\n"
    "Commands:\n"
    "  build    boot an image, trace what it reads, and write that as its boot cache\n"
    "  info     say what a cache holds and which image it belongs to\n"
    "  verify   check every checksum of a cache, and its bytes against its image\n"
    "  trace    print a boot trace\n"
    "  ls       list the caches of the store\n"
    "  gc       evict the caches of the store that were used least recently\n"
    "  nodes    say which nodes keep a cache, for submitting jobs to them\n"
    "\n"
    "vmicache COMMAND --help says more about one of them.\n";

std::array<Command, 7> commands() {
  return {build_command(), info_command(), verify_command(), trace_command(),
          ls_command(),    gc_command(),   nodes_command()};
}

ExitStatus print(const std::string& text) {
  std::cout << text;
  return ExitStatus::ok;
}

ExitStatus run_command(const Command& command, int argc, char** argv) {
  const Options options = command.options().parse(argc, argv);
  if (options.flag("help")) return print(command.options().help());
  if (options.flag("version")) return print("vmicache " VMI_VERSION "\n");
  const std::size_t verbose = options.all("verbose").size();
  log_threshold(verbose == 0 ? LogLevel::warning : verbose == 1 ? LogLevel::info : LogLevel::debug);
  return command.run(options);
}

ExitStatus print_completion(const std::string& shell) {
  if (shell != "bash" && shell != "zsh")
    throw Error(ExitStatus::usage, "--completion: '" + shell + "' is not one of bash, zsh");
  std::map<std::string, const OptionTable*> tables;
  for (const Command& command : commands()) tables[command.name] = &command.options();
  return print(completion_script(shell, "vmicache", tables));
}

ExitStatus vmicache(int argc, char** argv) {
  const std::string word = argc > 1 ? argv[1] : "";
  if (word == "--help" || word == "-h") return print(kHelp);
  if (word == "--version") return print("vmicache " VMI_VERSION "\n");
  if (word == "--completion") return print_completion(argc > 2 ? argv[2] : "");
  for (const Command& command : commands()) {
    if (word == command.name) return run_command(command, argc - 1, argv + 1);
  }
  throw Error(ExitStatus::usage, word.empty() ? "no command given; see vmicache --help"
                                              : "there is no command '" + word + "'; see vmicache --help");
}

}  // namespace

int main(int argc, char** argv) {
  log_identity("vmicache");
  try {
    const ExitStatus status = vmicache(argc, argv);
    if (!std::cout.flush()) throw Error(ExitStatus::environment, "cannot write to standard output");
    return static_cast<int>(status);
  } catch (const Error& error) {
    log_error(error.what());
    return static_cast<int>(error.status());
  } catch (const std::filesystem::filesystem_error& error) {
    log_error(error.what());
    return static_cast<int>(ExitStatus::environment);
  }
}
