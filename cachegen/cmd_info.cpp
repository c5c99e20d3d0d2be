// SPDX-License-Identifier: Apache-2.0
// vmicache info: what a cache holds, by its own metadata.
#include "cachegen/cache/cache_file.hpp"
#include "cachegen/command.hpp"

#include <iostream>

namespace vmi {
namespace {

const OptionTable& table() {
  static const OptionTable options =
      OptionTable("vmicache info", "[--json] CACHE",
                  "Says what a boot cache holds and which image it belongs to.")
          .add({.name = "json", .help = "Print it as JSON."})
          .positionals(1);
  return options;
}

void row(std::string name, const std::string& value) {
  name.resize(14, ' ');
  std::cout << name << value << "\n";
}

std::string exact(Bytes bytes) {
  return bytes < KiB ? format_size(bytes) : format_size(bytes) + " (" + std::to_string(bytes) + " bytes)";
}

void print(const CacheFile& cache) {
  const nlohmann::json info = cache.info();
  row("cache", cache.path().string());
  row("image",
      cache.backing_name() + ", " + cache.backing_format() + ", " + format_size(cache.virtual_bytes()));
  row("cached", exact(info["cached_bytes"].get<Bytes>()) + " in " + info["extents"].dump() +
                    " extents, of which zeros " + format_size(info["zero_bytes"].get<Bytes>()));
  row("file", exact(cache.file_bytes()));
  row("quota", cache.quota() == 0 ? "none" : exact(cache.quota()));
  row("clusters", format_size(cache.cluster_bytes()));
  row("digest", cache.digest());
  if (!cache.sealed()) {
    row("sealed", "no: a QEMU opened it for writing, so nothing vouches for what it holds");
    return;
  }
  row("sealed", "yes");
  row("image digest", cache.base().digest.empty() ? "not kept" : cache.base().digest);
  for (const ImageLayer& layer : cache.base().image.backing_chain) row("on", layer.url + ", " + layer.format);
  if (!cache.facts().is_object()) return;
  for (const auto& [name, value] : cache.facts().items()) {
    if (value.is_structured() || value == nlohmann::json("")) continue;  // they are in --json
    row("profile", name + " = " + (value.is_string() ? value.get<std::string>() : value.dump()));
  }
}

ExitStatus run(const Options& options) {
  if (options.positional().empty()) throw Error(ExitStatus::usage, "name a cache; see vmicache info --help");
  const CacheFile cache = CacheFile::open(options.positional().front());
  if (options.flag("json")) {
    std::cout << cache.info().dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  } else {
    print(cache);
  }
  return ExitStatus::ok;
}

}  // namespace

Command info_command() {
  return {.name = "info", .options = table, .run = run};
}

}  // namespace vmi
