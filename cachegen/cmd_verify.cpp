// SPDX-License-Identifier: Apache-2.0
// vmicache verify: every checksum of a cache, and with its image every cached byte.
#include "cachegen/cache/verify.hpp"
#include "cachegen/command.hpp"
#include "cachegen/support/interrupt.hpp"
#include "cachegen/support/progress_line.hpp"

#include <algorithm>
#include <iostream>
#include <optional>

#include <nlohmann/json.hpp>

namespace vmi {
namespace {

constexpr auto kInspectPatience = std::chrono::seconds(60);

const OptionTable& table() {
  static const OptionTable options =
      OptionTable(
          "vmicache verify", "CACHE [--image IMG] [options]",
          "Checks every checksum of a boot cache, and with --image every cached byte against the image.")
          .add({.name = "image",
                .letter = 'i',
                .metavar = "IMG",
                .help = "The image to compare with: a path or any URL that QEMU opens."})
          .add({.name = "sample", .help = "Check metadata and some clusters only, as every launch does."})
          .add({.name = "json", .help = "Print the findings as JSON."})
          .positionals(1);
  return options;
}

void print(const std::string& cache, const VerifyResult& result, bool compared) {
  for (const Finding& finding : result.findings) {
    std::cout << cache << ": " << (finding.fatal ? "" : "note: ") << finding.text << " ["
              << fault_name(finding.fault) << "]\n";
  }
  if (!result.usable()) return;
  std::cout << cache << ": ok, " << format_size(result.checked_bytes) << " checked";
  if (compared) std::cout << ", " << format_size(result.compared_bytes) << " compared with the image";
  std::cout << "\n";
}

/// 3 for what is no cache at all, 1 for one that something is wrong with.
ExitStatus status_of(const VerifyResult& result) {
  if (result.usable()) return ExitStatus::ok;
  const bool cache = std::ranges::none_of(
      result.findings, [](const Finding& finding) { return finding.fault == Fault::not_a_cache; });
  return cache ? ExitStatus::vm_failed : ExitStatus::unusable;
}

ExitStatus run(const Options& options) {
  if (options.positional().empty())
    throw Error(ExitStatus::usage, "name a cache; see vmicache verify --help");
  const std::string& cache = options.positional().front();
  catch_interrupts();
  std::optional<BaseReader> base;
  if (const std::optional<std::string> image = options.given("image")) {
    base.emplace(inspect_image(*image, Deadline::after(kInspectPatience)));
  }
  const bool json = options.flag("json");
  ProgressLine line("vmicache", !json);
  line.stage("verifying " + cache);
  const VerifyResult result = verify_cache(
      cache, base ? &*base : nullptr, options.flag("sample") ? VerifyMode::sample : VerifyMode::full,
      [&line](Bytes done, Bytes total) {
        throw_if_interrupted();
        line.update("verified " + format_size(done) + " of " + format_size(total));
      });
  line.finish();
  if (json) {
    std::cout << result.to_json().dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  } else {
    print(cache, result, base.has_value());
  }
  return status_of(result);
}

}  // namespace

Command verify_command() {
  return {.name = "verify", .options = table, .run = run};
}

}  // namespace vmi
