// SPDX-License-Identifier: Apache-2.0
// vmicache trace: what boots read, as a table: the order that a cache keeps, or the requests that a trace or
// a launch's record holds.
#include "cachegen/cache/cache_file.hpp"
#include "cachegen/command.hpp"
#include "cachegen/profile/trace_file.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <iostream>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace vmi {
namespace {

using nlohmann::json;

const OptionTable& table() {
  static const OptionTable options =
      OptionTable(
          "vmicache trace", "[--json] CACHE|T.h5",
          "Prints the boot order that a cache keeps, or the requests in a boot trace or a launch's record.")
          .add({.name = "json", .help = "Print a JSON array of objects."})
          .positionals(1);
  return options;
}

bool is_hdf5(const fs::path& path) {
  constexpr std::array<char, 8> kSignature = {'\x89', 'H', 'D', 'F', '\r', '\n', '\x1a', '\n'};
  std::array<char, 8> start{};
  const Fd file = open_file(path, O_RDONLY | O_CLOEXEC, 0, ExitStatus::unusable);
  return read(file.get(), start.data(), start.size()) == static_cast<ssize_t>(start.size()) &&
         start == kSignature;
}

/// Six decimals; "-" for what is not known.
std::string seconds(double value) {
  if (std::isnan(value)) return "-";
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.6f", value);
  return text.data();
}

json known(double value) {
  return std::isnan(value) ? json() : json(value);
}

void print_cache(const fs::path& path, bool as_json) {
  const CacheFile cache = CacheFile::open(path);
  json rows = json::array();
  if (!as_json) std::printf("%14s %16s %12s  %s\n", "t", "offset", "bytes", "content");
  for (const OrderRun& run : cache.trailer().order) {
    const Bytes offset = run.cluster * cache.cluster_bytes();
    const Bytes bytes = std::min(run.count * cache.cluster_bytes(), cache.virtual_bytes() - offset);
    const double t = static_cast<double>(run.first_access_us) * 1e-6;
    if (as_json) {
      rows.push_back({{"t", t}, {"offset", offset}, {"bytes", bytes}, {"zero", run.zero}});
    } else {
      std::printf("%14s %16llu %12llu  %s\n", seconds(t).c_str(), static_cast<unsigned long long>(offset),
                  static_cast<unsigned long long>(bytes), run.zero ? "zeros" : "data");
    }
  }
  if (as_json) std::cout << rows.dump(1) << "\n";
}

void print_requests(const fs::path& path, bool as_json) {
  json rows = json::array();
  if (!as_json) {
    std::printf("%4s %14s %14s  %-7s %16s %12s %4s  %s\n", "run", "t_submit", "t_complete", "op", "offset",
                "bytes", "hit", "image");
  }
  for (const BootTraceRow& row : read_boot_trace(path)) {
    if (as_json) {
      rows.push_back({{"run", row.run},
                      {"image", row.image},
                      {"t_submit", known(row.t_submit)},
                      {"t_complete", known(row.t_complete)},
                      {"op", row.op},
                      {"offset", row.offset},
                      {"bytes", row.bytes},
                      {"hit", row.hit}});
      continue;
    }
    const std::string hit = row.hit == kUnknownCount ? "-" : std::to_string(row.hit);
    std::printf("%4lld %14s %14s  %-7s %16lld %12lld %4s  %s\n", static_cast<long long>(row.run),
                seconds(row.t_submit).c_str(), seconds(row.t_complete).c_str(), row.op.c_str(),
                static_cast<long long>(row.offset), static_cast<long long>(row.bytes), hit.c_str(),
                row.image.c_str());
  }
  if (as_json) std::cout << rows.dump(1, ' ', false, json::error_handler_t::replace) << "\n";
}

ExitStatus run(const Options& options) {
  if (options.positional().empty()) {
    throw Error(ExitStatus::usage, "name a cache or an HDF5 file; see vmicache trace --help");
  }
  const fs::path path = options.positional().front();
  (is_hdf5(path) ? print_requests : print_cache)(path, options.flag("json"));
  return ExitStatus::ok;
}

}  // namespace

Command trace_command() {
  return {.name = "trace", .options = table, .run = run};
}

}  // namespace vmi
