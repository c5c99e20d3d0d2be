// SPDX-License-Identifier: Apache-2.0
// vmicache build: one image in, one boot cache out.
#include "cachegen/build.hpp"
#include "cachegen/command.hpp"
#include "cachegen/guest/guest_options.hpp"
#include "cachegen/support/interrupt.hpp"
#include "cachegen/support/progress_line.hpp"

#include <iostream>

namespace vmi {
namespace {

using nlohmann::json;

const OptionTable& table() {
  static const OptionTable options = [] {
    OptionTable t("vmicache build", "--image IMG --output CACHE [options]",
                  "Boots an image, traces what it reads, and writes that as its boot cache.");
    t.add({.name = "image", .metavar = "IMG", .help = "Image: a path or any URL that QEMU opens."})
        .add({.name = "output",
              .letter = 'o',
              .metavar = "CACHE",
              .help = "The cache; one that exists is replaced."})
        .add({.name = "quota",
              .metavar = "BYTES",
              .default_value = "256M",
              .help = "Most bytes of the cache file; 0: no limit."})
        .add(
            {.name = "trace-out", .metavar = "T.h5", .help = "Write the guest's requests to this HDF5 file."})
        .add({.name = "json", .help = "Print the summary as JSON."})
        .group("Profile")
        .add({.name = "runs",
              .metavar = "K",
              .default_value = "1",
              .help = "Boots to merge, one after the other."})
        .add({.name = "granularity",
              .metavar = "BYTES",
              .default_value = "4K",
              .help = "Widen reads to blocks of this size, the cache's cluster size: a power of two from "
                      "512 to 2M."})
        .add({.name = "settle",
              .metavar = "TIME",
              .default_value = "5s",
              .help = "How long the trace goes on once the guest is ready."});
    add_ready_options(t.group("Ready"));
    add_guest_options(t.group("Guest"));
    t.environment_prefix("VMICACHE_");
    return t;
  }();
  return options;
}

std::string needed(const Options& options, const std::string& name) {
  if (const std::optional<std::string> value = options.given(name)) return *value;
  throw Error(ExitStatus::usage, "--" + name + " is missing; see vmicache build --help");
}

BuildRequest request_from(const Options& options) {
  GuestChoice choice = guest_choice(options);
  return {.image = needed(options, "image"),
          .guest = std::move(choice.guest),
          .ready = std::move(choice.ready),
          .quota = options.size("quota"),
          .runs = static_cast<int>(options.number("runs", 1, 1000)),
          .granularity = options.size("granularity"),
          .timeout = choice.timeout,
          .settle = options.duration("settle"),
          .trace_out = options.text("trace-out")};
}

json to_json(const BuildSummary& summary, const fs::path& output) {
  return {{"cache", fs::absolute(output).string()},
          {"image",
           {{"url", summary.image.url},
            {"format", summary.image.format},
            {"virtual_bytes", summary.image.virtual_bytes}}},
          {"file_bytes", summary.cache.file_bytes},
          {"cached_bytes", summary.cache.cached_bytes},
          {"zero_bytes", summary.cache.zero_bytes},
          {"wanted_bytes", summary.cache.wanted_bytes},
          {"digest", summary.cache.digest},
          {"profile", summary.facts}};
}

void print(const BuildSummary& summary, const BuildRequest& request, const fs::path& output) {
  const json& facts = summary.facts;
  std::cout << "cache        " << output.string() << ", " << format_size(summary.cache.file_bytes) << "\n"
            << "image        " << summary.image.url << ", " << summary.image.format << ", "
            << format_size(summary.image.virtual_bytes) << "\n";
  int number = 0;
  for (const json& boot : facts.at("boots")) {
    std::cout << "boot " << ++number << "       ready (" << request.ready.to_text() << ") after "
              << format_duration(Seconds(boot.at("ready_s").get<double>())) << ", " << boot.at("requests")
              << " requests, " << format_size(boot.at("unique_bytes").get<Bytes>()) << " read\n";
  }
  std::cout << "working set  " << format_size(facts.at("working_set_bytes").get<Bytes>());
  if (const Bytes rare = facts.at("minority_bytes").get<Bytes>(); rare > 0) {
    std::cout << ", of which less than half of the boots read " << format_size(rare);
  }
  std::cout << "\ncached       " << format_size(summary.cache.cached_bytes);
  if (summary.cache.zero_bytes > 0) std::cout << ", of which zeros " << format_size(summary.cache.zero_bytes);
  std::cout << "\n";
  if (summary.cache.cached_bytes < summary.cache.wanted_bytes) {
    std::cout << "cut off      " << format_size(summary.cache.wanted_bytes - summary.cache.cached_bytes)
              << " by the quota of " << format_size(request.quota) << "\n";
  }
}

ExitStatus run(const Options& options) {
  const BuildRequest request = request_from(options);
  const fs::path output = needed(options, "output");
  catch_interrupts();
  ProgressLine line("vmicache", true);
  const BuildSummary summary = build_cache(request, output, [&](const BuildStep& step) {
    throw_if_interrupted();
    step.new_stage ? line.stage(step.text) : line.update(step.text);
  });
  line.finish();
  if (options.flag("json")) {
    std::cout << to_json(summary, output).dump(2) << "\n";
  } else {
    print(summary, request, output);
  }
  return ExitStatus::ok;
}

}  // namespace

Command build_command() {
  return {.name = "build", .options = table, .run = run};
}

}  // namespace vmi
