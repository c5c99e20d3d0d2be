// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/units.hpp"

#include "cachegen/support/error.hpp"

#include <cmath>
#include <cstdio>
#include <ctime>
#include <optional>

namespace vmi {
namespace {

/// Takes a non-negative decimal number off the front of `text`.
std::optional<double> take_number(std::string_view& text) {
  std::size_t used = 0;
  bool digits = false;
  bool point = false;
  while (used < text.size() && ((text[used] >= '0' && text[used] <= '9') || (text[used] == '.' && !point))) {
    if (text[used] == '.') {
      point = true;
    } else {
      digits = true;
    }
    ++used;
  }
  if (!digits) return std::nullopt;
  const double value = std::stod(std::string(text.substr(0, used)));
  text.remove_prefix(used);
  return value;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

std::optional<double> size_unit(const std::string& suffix) {
  if (suffix.empty() || suffix == "b") return 1;
  const std::string_view letters = "kmgt";
  const std::size_t power = letters.find(suffix[0]);
  if (power == std::string_view::npos) return std::nullopt;
  const std::string rest = suffix.substr(1);
  if (!rest.empty() && rest != "b" && rest != "ib") return std::nullopt;
  return std::pow(1024.0, static_cast<double>(power + 1));
}

std::string printf_double(const char* format, double value) {
  char text[64];
  const int length = std::snprintf(text, sizeof text, format, value);
  return {text, static_cast<std::size_t>(length)};
}

}  // namespace

Bytes parse_size(std::string_view text) {
  std::string_view rest = text;
  const std::optional<double> number = take_number(rest);
  const std::optional<double> unit = number ? size_unit(lower(rest)) : std::nullopt;
  if (!unit) {
    throw Error(ExitStatus::usage,
                "'" + std::string(text) + "' is not a size; write for example 4096, 64K, 256M or 2G");
  }
  const double bytes = *number * *unit;
  if (bytes >= 9.2e18) throw Error(ExitStatus::usage, "size '" + std::string(text) + "' is too large");
  return static_cast<Bytes>(std::llround(bytes));
}

std::chrono::milliseconds parse_duration(std::string_view text) {
  std::string_view rest = text;
  double total_ms = 0;
  bool any = false;
  while (!rest.empty()) {
    const std::optional<double> number = take_number(rest);
    std::size_t letters = 0;
    while (letters < rest.size() && (rest[letters] < '0' || rest[letters] > '9')) ++letters;
    const std::string unit = lower(rest.substr(0, letters));
    rest.remove_prefix(letters);
    const double factor = unit == "ms"                   ? 1
                          : unit == "s" || unit.empty()  ? 1e3
                          : unit == "m" || unit == "min" ? 6e4
                          : unit == "h"                  ? 3.6e6
                                                         : 0;
    if (!number || factor == 0) {
      any = false;
      break;
    }
    total_ms += *number * factor;
    any = true;
  }
  if (!any || total_ms > 1e13) {
    throw Error(ExitStatus::usage,
                "'" + std::string(text) + "' is not a duration; write for example 90s, 500ms, 5m or 1h30m");
  }
  return std::chrono::milliseconds(std::llround(total_ms));
}

std::string format_size(Bytes bytes) {
  if (bytes < KiB) return std::to_string(bytes) + " bytes";
  const char* names[] = {"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes) / static_cast<double>(KiB);
  std::size_t unit = 0;
  while (value >= 1024 && unit < 3) {
    value /= 1024;
    ++unit;
  }
  const bool whole = value == std::floor(value);
  return printf_double(whole ? "%.0f " : "%.1f ", value) + names[unit];
}

std::string format_duration(Seconds duration) {
  const double s = duration.count();
  if (s < 0.1) return printf_double("%.0f ms", s * 1e3);
  if (s < 10) return printf_double("%.2f s", s);
  if (s < 60) return printf_double("%.1f s", s);
  const auto whole = static_cast<long long>(std::llround(s));
  return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
}

std::int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace vmi
