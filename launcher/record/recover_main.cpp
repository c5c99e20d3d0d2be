// SPDX-License-Identifier: Apache-2.0
// What vmireport runs to read a journal, so that the record's schema is in one place:
// vmi-recover JOURNAL [OUTPUT] for --recover, vmi-recover --peek JOURNAL OUTPUT for a launch that may still
// run.
#include "cachegen/support/log.hpp"
#include "cachegen/support/options.hpp"
#include "launcher/record/recover.hpp"

#include <cstdio>

namespace {

const char* word_of(vmi::Owner::State state) {
  switch (state) {
    case vmi::Owner::State::alive:
      return "running";
    case vmi::Owner::State::dead:
      return "killed";
    case vmi::Owner::State::unknown:
      break;
  }
  return "unknown";
}

int run(int argc, char** argv) {
  using namespace vmi;
  OptionTable table("vmi-recover", "JOURNAL [OUTPUT]",
                    "Makes the record of a launch that was killed from its journal.");
  table.positionals(2);
  table.add({.name = "peek",
             .help =
                 "write what the journal knows by now to OUTPUT, and leave the journal; prints whether its "
                 "launch is running, killed or unknown, and its host"});
  const Options options = table.parse(argc, argv);
  if (options.flag("help")) {
    std::fputs(table.help().c_str(), stdout);
    return 0;
  }
  if (options.flag("version")) {
    std::puts("vmi-recover " VMI_VERSION);
    return 0;
  }
  const auto& words = options.positional();
  if (words.empty())
    throw Error(ExitStatus::usage, "name the journal to recover: vmi-recover JOURNAL [OUTPUT]");
  if (options.flag("peek")) {
    if (words.size() != 2) throw Error(ExitStatus::usage, "--peek needs JOURNAL and OUTPUT");
    const Glimpse glimpse = peek(words[0], words[1]);
    std::printf("%s %s\n", word_of(glimpse.state), glimpse.writer.host.c_str());
    return 0;
  }

  const Recovery recovery =
      recover(words[0], words.size() > 1 ? std::optional<fs::path>(words[1]) : std::nullopt);
  if (recovery.record.journal_lines_lost > 0) {
    log_warning(std::to_string(recovery.record.journal_lines_lost) + " lines of '" + words[0] +
                "' could not be read");
  }
  if (!recovery.journal_removed) {
    log_warning("'" + words[0] + "' is kept: whether its launch still runs cannot be told from this machine");
  }
  std::puts(recovery.output.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  vmi::log_identity("vmi-recover");
  try {
    return run(argc, argv);
  } catch (const vmi::Error& error) {
    vmi::log_error(error.what());
    return static_cast<int>(error.status());
  } catch (const std::exception& error) {
    vmi::log_error(std::string("internal error: ") + error.what());
    return static_cast<int>(vmi::ExitStatus::environment);
  }
}
