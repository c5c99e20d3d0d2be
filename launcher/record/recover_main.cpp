// SPDX-License-Identifier: Apache-2.0
// vmi-recover JOURNAL [OUTPUT]: what `vmireport --recover` runs, so that the record's schema is in one place.
#include "cachegen/support/log.hpp"
#include "cachegen/support/options.hpp"
#include "launcher/record/recover.hpp"

#include <cstdio>

namespace {

int run(int argc, char** argv) {
  using namespace vmi;
  OptionTable table("vmi-recover", "JOURNAL [OUTPUT]",
                    "Makes the record of a launch that was killed from its journal.");
  table.positionals(2);
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
