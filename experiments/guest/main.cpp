// SPDX-License-Identifier: Apache-2.0
// replay-trace: makes the replay guest's trace of a recorded boot, and says what the guest must answer.
#include "cachegen/profile/trace_file.hpp"
#include "cachegen/support/log.hpp"
#include "cachegen/support/options.hpp"
#include "experiments/guest/replay_trace.hpp"

#include <algorithm>
#include <iostream>

#include <nlohmann/json.hpp>

namespace vmi::replay {
namespace {

OptionTable option_table() {
  return OptionTable("replay-trace", "convert T.h5 TRACE | expect TRACE IMAGE",
                     "Makes the replay guest's trace of a boot that 'vmicache build --trace-out T.h5' "
                     "recorded, or prints as JSON "
                     "what a guest that replays it on IMAGE must read: its checksums, and its requests.")
      .add({.name = "run",
            .metavar = "N",
            .default_value = "0",
            .help = "convert: which of the recorded boots."})
      .positionals(3);
}

ExitStatus convert_file(const fs::path& from, const fs::path& to, std::int64_t run) {
  const std::vector<BootRunRow> runs = read_boot_runs(from);
  const auto found = std::ranges::find(runs, run, &BootRunRow::run);
  if (found == runs.end())
    throw Error(ExitStatus::usage, "--run " + std::to_string(run) + ": '" + from.string() + "' has " +
                                       std::to_string(runs.size()) + " boots, counted from 0");
  write_trace(to, convert(read_boot_trace(from), run, found->t_ready));
  return ExitStatus::ok;
}

ExitStatus print_expected(const fs::path& trace_path, const std::string& image) {
  const Trace trace = read_trace(trace_path);
  const Expected found = expected(trace, inspect_image(image, Deadline::after(std::chrono::seconds(60))));
  double think_us = trace.header.tail_us;
  for (const replay_step& step : trace.steps) think_us += step.think_us;
  std::cout << nlohmann::json({{"full", found.full},
                               {"sample", found.sample},
                               {"reads", found.reads},
                               {"read_bytes", found.read_bytes},
                               {"writes", found.writes},
                               {"written_bytes", found.written_bytes},
                               {"think_s", think_us * 1e-6},
                               {"buffer_bytes", trace.header.buffer_bytes}})
                   .dump(2)
            << "\n";
  return ExitStatus::ok;
}

ExitStatus run(int argc, char** argv) {
  const OptionTable table = option_table();
  const Options options = table.parse(argc, argv);
  if (options.flag("help")) {
    std::cout << table.help();
    return ExitStatus::ok;
  }
  if (options.flag("version")) {
    std::cout << "replay-trace " VMI_VERSION "\n";
    return ExitStatus::ok;
  }
  const std::vector<std::string>& words = options.positional();
  if (words.size() == 3 && words[0] == "convert")
    return convert_file(words[1], words[2], options.number("run", 0, 1'000'000));
  if (words.size() == 3 && words[0] == "expect") return print_expected(words[1], words[2]);
  throw Error(ExitStatus::usage, "say 'convert T.h5 TRACE' or 'expect TRACE IMAGE'; see replay-trace --help");
}

}  // namespace
}  // namespace vmi::replay

int main(int argc, char** argv) {
  vmi::log_identity("replay-trace");
  try {
    return static_cast<int>(vmi::replay::run(argc, argv));
  } catch (const vmi::Error& error) {
    vmi::log_error(error.what());
    return static_cast<int>(error.status());
  }
}
