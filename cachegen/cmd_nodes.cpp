// SPDX-License-Identifier: Apache-2.0
// vmicache nodes: which nodes keep a cache, as hints for submitting a job to them.
#include "cachegen/cache/cache_file.hpp"
#include "cachegen/command.hpp"
#include "cachegen/store/host_list.hpp"
#include "cachegen/store/registry.hpp"
#include "cachegen/store/store.hpp"
#include "cachegen/support/hash.hpp"
#include "cachegen/support/log.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace vmi {
namespace {

constexpr auto kInspectPatience = std::chrono::seconds(60);
constexpr std::size_t kFeatureDigits = 12;

const OptionTable& table() {
  static const OptionTable options =
      OptionTable("vmicache nodes", "[--image IMG | CACHE] [options]",
                  "Says which nodes keep a cache, for sbatch --nodelist=$(vmicache nodes --image IMG).")
          .add({.name = "image",
                .letter = 'i',
                .metavar = "IMG",
                .help = "The image whose cache, the one that was used last, is asked for."})
          .add({.name = "count", .metavar = "N", .help = "Name N nodes at the most, last used first."})
          .add({.name = "max-age",
                .metavar = "TIME",
                .default_value = "720h",
                .help = "Pass over nodes that nobody has used the cache on for so long."})
          .add({.name = "format",
                .metavar = "FORMAT",
                .help = "nodelist: n[1-3,7]; prefer: the feature that slurm/site/set-features gives such "
                        "nodes; table; json [nodelist with --image or CACHE, else table].",
                .choices = {"nodelist", "prefer", "table", "json"}})
          .add({.name = "json", .help = "The same as --format json."})
          .add({.name = "cache-dir",
                .metavar = "DIR",
                .help =
                    "The store; else $VMILAUNCH_CACHE_DIR, or ${XDG_CACHE_HOME:-~/.cache}/vmilaunch/store."})
          .positionals(1);
  return options;
}

/// As slurm/site/set-features names it.
std::string feature_of(const std::string& cache) {
  const std::string digits = cache.substr(cache.rfind('-') + 1);
  return "vmi_" + std::to_string(geteuid()) + "_" + digits.substr(0, kFeatureDigits);
}

std::vector<std::string> names_of(const CachePlaces& places) {
  std::vector<std::string> names;
  for (const CachePlaces::Node& node : places.nodes) names.push_back(node.name);
  return names;
}

/// Leaves out what was not used for so long, and all nodes but the first `count`.
void select_nodes(std::vector<CachePlaces>& all, std::chrono::nanoseconds max_age, std::size_t count) {
  const std::chrono::nanoseconds now = std::chrono::system_clock::now().time_since_epoch();
  for (CachePlaces& places : all) {
    std::erase_if(places.nodes, [&](const CachePlaces::Node& node) {
      return now - std::chrono::nanoseconds(node.last_use_ns) > max_age;
    });
    if (places.nodes.size() > count) places.nodes.resize(count);
  }
  std::erase_if(all, [](const CachePlaces& places) { return places.nodes.empty(); });
}

bool asks_for_one(const Options& options) {
  return options.has("image") || !options.positional().empty();
}

/// The caches that the options ask for; of an image, the one used last.
std::vector<CachePlaces> asked_for(const Options& options) {
  std::vector<CachePlaces> all = Registry(Store::folder_for(options.given("cache-dir"))).list();
  const std::optional<std::string> image = options.given("image");
  if (image && !options.positional().empty())
    throw Error(ExitStatus::usage, "--image and a cache exclude each other; give one of them");
  if (image) {
    const std::string identity = image_identity(inspect_image(*image, Deadline::after(kInspectPatience)));
    std::erase_if(all, [&](const CachePlaces& places) { return places.cache.identity != identity; });
  } else if (asks_for_one(options)) {
    const std::string digest = digest_of(CacheFile::open(options.positional().front()).chunk_hashes());
    std::erase_if(all, [&](const CachePlaces& places) { return places.cache.name != digest; });
  }
  const long long count = options.has("count") ? options.number("count", 1, 1'000'000) : 1'000'000;
  select_nodes(all, options.duration("max-age"), static_cast<std::size_t>(count));
  if (asks_for_one(options) && all.size() > 1) all.resize(1);
  return all;
}

nlohmann::json to_json(const std::vector<CachePlaces>& all) {
  nlohmann::json json = nlohmann::json::array();
  for (const CachePlaces& places : all) {
    json.push_back({{"cache", places.cache.name},
                    {"image", places.cache.image},
                    {"bytes", places.cache.bytes},
                    {"feature", feature_of(places.cache.name)},
                    {"nodelist", host_list(names_of(places))},
                    {"nodes", names_of(places)}});
  }
  return json;
}

void print_table(const std::vector<CachePlaces>& all) {
  for (const CachePlaces& places : all) {
    std::cout << places.cache.name << "  " << format_size(places.cache.bytes) << "  " << places.cache.image
              << "\n    " << places.nodes.size() << " nodes: " << host_list(names_of(places)) << "\n";
  }
}

ExitStatus nodes(const Options& options) {
  const bool one = asks_for_one(options);
  std::string format = options.given("format").value_or(one ? "nodelist" : "table");
  if (options.flag("json")) format = "json";
  if (!one && (format == "nodelist" || format == "prefer"))
    throw Error(ExitStatus::usage, "--format " + format + " is for one cache; name its image or its file");
  const std::vector<CachePlaces> all = asked_for(options);
  // What is printed goes into other commands, so that nothing is said there; and it is no failure.
  if (all.empty() && format != "json") log_warning("no node is known to keep such a cache");
  if (format == "json") {
    std::cout << to_json(all).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  } else if (format == "table") {
    print_table(all);
  } else if (!all.empty()) {
    std::cout << (format == "prefer" ? feature_of(all.front().cache.name) : host_list(names_of(all.front())))
              << "\n";
  }
  return ExitStatus::ok;
}

}  // namespace

Command nodes_command() {
  return {.name = "nodes", .options = table, .run = nodes};
}

}  // namespace vmi
