// SPDX-License-Identifier: Apache-2.0
#include "cachegen/store/host_list.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>

namespace vmi {
namespace {

constexpr std::size_t kMostDigits = 15;

/// A run of numbers, those with leading zeros `width` digits wide.
std::string run_text(std::uint64_t first, std::uint64_t last, std::size_t width) {
  const auto padded = [&](std::uint64_t number) {
    const std::string digits = std::to_string(number);
    return digits.size() < width ? std::string(width - digits.size(), '0') + digits : digits;
  };
  return first == last ? padded(first) : padded(first) + "-" + padded(last);
}

std::string group_text(const std::string& prefix, std::size_t width, const std::set<std::uint64_t>& numbers) {
  std::string runs;
  for (auto number = numbers.begin(); number != numbers.end();) {
    const std::uint64_t first = *number;
    std::uint64_t last = first;
    while (++number != numbers.end() && *number == last + 1) ++last;
    runs += (runs.empty() ? "" : ",") + run_text(first, last, width);
  }
  return numbers.size() == 1 ? prefix + runs : prefix + "[" + runs + "]";
}

}  // namespace

std::string host_list(const std::vector<std::string>& names) {
  std::map<std::pair<std::string, std::size_t>, std::set<std::uint64_t>> groups;  // by prefix and width
  std::set<std::string> parts;
  for (const std::string& name : names) {
    const std::size_t end = name.find_last_not_of("0123456789");
    const std::size_t digits = end == std::string::npos ? name.size() : name.size() - end - 1;
    if (digits == 0 || digits == name.size() || digits > kMostDigits) {
      parts.insert(name);
      continue;
    }
    const std::string number = name.substr(name.size() - digits);
    const std::size_t width = number.front() == '0' && digits > 1 ? digits : 0;
    groups[{name.substr(0, name.size() - digits), width}].insert(std::stoull(number));
  }
  std::string text;
  for (const auto& [key, numbers] : groups) parts.insert(group_text(key.first, key.second, numbers));
  for (const std::string& part : parts) text += (text.empty() ? "" : ",") + part;
  return text;
}

}  // namespace vmi
