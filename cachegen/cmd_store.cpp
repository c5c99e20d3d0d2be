// SPDX-License-Identifier: Apache-2.0
// vmicache ls, vmicache gc: the store of caches that launches share.
#include "cachegen/command.hpp"
#include "cachegen/store/store.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <iostream>

namespace vmi {
namespace {

OptionTable store_table(const char* command, const char* synopsis, const char* summary) {
  OptionTable options(command, synopsis, summary);
  options
      .add({.name = "cache-dir",
            .metavar = "DIR",
            .help = "The store; else $VMILAUNCH_CACHE_DIR, or ${XDG_CACHE_HOME:-~/.cache}/vmilaunch/store."})
      .add({.name = "json", .help = "Print it as JSON."});
  return options;
}

const OptionTable& ls_table() {
  static const OptionTable options =
      store_table("vmicache ls", "[--cache-dir DIR] [--json]",
                  "Lists the caches of the store, last used first, and those being built.");
  return options;
}

const OptionTable& gc_table() {
  static const OptionTable options =
      store_table("vmicache gc", "[--max-bytes SIZE] [--cache-dir DIR] [--json]",
                  "Evicts whole caches, least recently used first, until the rest fits, and clears what "
                  "killed builds left.")
          .add({.name = "max-bytes",
                .metavar = "SIZE",
                .default_value = "10G",
                .help = "Most bytes that the caches may keep; 0 evicts all."});
  return options;
}

Store store_of(const Options& options) {
  return Store(Store::folder_for(options.given("cache-dir")));
}

std::string utc(std::int64_t ns) {
  const std::time_t seconds = ns / 1'000'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

nlohmann::json to_json(const std::vector<StoreEntry>& entries) {
  nlohmann::json json = nlohmann::json::array();
  for (const StoreEntry& entry : entries) {
    nlohmann::json item = {{"key", entry.key}, {"path", entry.path.string()}};
    if (!entry.builder.empty()) {
      item["builder"] = entry.builder;
    } else {
      item["image"] = entry.image_url;
      item["virtual_bytes"] = entry.virtual_bytes;
      item["cached_bytes"] = entry.cached_bytes;
      item["file_bytes"] = entry.file_bytes;
      item["last_use"] = utc(entry.last_use_ns);
    }
    json.push_back(std::move(item));
  }
  return json;
}

void print_json(const nlohmann::json& json) {
  std::cout << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

using Row = std::array<std::string, 5>;

void print_table(const std::vector<Row>& rows) {
  std::array<std::size_t, 5> width{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  }
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i)
      std::cout << row[i] << std::string(width[i] - row[i].size() + 2, ' ');
    std::cout << row.back() << "\n";
  }
}

ExitStatus ls(const Options& options) {
  const Store store = store_of(options);
  const std::vector<StoreEntry> entries = store.list();
  if (options.flag("json")) {
    print_json(to_json(entries));
    return ExitStatus::ok;
  }
  if (entries.empty()) {
    std::cout << "no caches in '" << store.folder().string() << "'\n";
    return ExitStatus::ok;
  }
  std::vector<Row> rows = {{"LAST USE", "FILE", "CACHED", "KEY", "IMAGE"}};
  for (const StoreEntry& entry : entries) {
    if (!entry.builder.empty()) {
      rows.push_back({"building", "-", "-", entry.key, "by " + entry.builder});
    } else {
      rows.push_back({utc(entry.last_use_ns), format_size(entry.file_bytes), format_size(entry.cached_bytes),
                      entry.key, entry.image_url.empty() ? "(damaged)" : entry.image_url});
    }
  }
  print_table(rows);
  return ExitStatus::ok;
}

ExitStatus gc(const Options& options) {
  const Store::Evicted evicted = store_of(options).gc(options.size("max-bytes"));
  if (options.flag("json")) {
    print_json({{"evicted", to_json(evicted.entries)},
                {"evicted_bytes", evicted.bytes},
                {"kept_bytes", evicted.kept_bytes}});
    return ExitStatus::ok;
  }
  for (const StoreEntry& entry : evicted.entries) {
    std::cout << "evicted " << entry.path.string() << ", " << format_size(entry.file_bytes) << "\n";
  }
  std::cout << "evicted " << format_size(evicted.bytes) << ", kept " << format_size(evicted.kept_bytes)
            << "\n";
  return ExitStatus::ok;
}

}  // namespace

Command ls_command() {
  return {.name = "ls", .options = ls_table, .run = ls};
}
Command gc_command() {
  return {.name = "gc", .options = gc_table, .run = gc};
}

}  // namespace vmi
