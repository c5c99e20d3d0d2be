// SPDX-License-Identifier: Apache-2.0
// Enums whose values people write and read. Each has one table, from which options, messages, records and the
// wire take the names:
//     template <>
//     inline constexpr NameTable<Fruit, 2> kNames<Fruit>{"fruit", {{{Fruit::fig, "fig"}, {Fruit::pear,
//     "pear"}}}};
#pragma once

#include "cachegen/support/error.hpp"

#include <array>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

template <typename Enum, std::size_t N>
struct NameTable {
  std::string_view what;  ///< an indefinite article goes before it in messages
  std::array<std::pair<Enum, std::string_view>, N> names;
};

template <typename Enum>
inline constexpr std::nullptr_t kNames = nullptr;

template <typename Enum>
concept NamedEnum = std::is_enum_v<Enum> && requires {
  kNames<Enum>.names;
};

template <NamedEnum Enum>
std::string to_text(Enum value) {
  for (const auto& [candidate, name] : kNames<Enum>.names) {
    if (candidate == value) return std::string(name);
  }
  return "?";
}

/// All names, in the table's order: the choices of an option.
template <NamedEnum Enum>
std::vector<std::string> names_of() {
  std::vector<std::string> names;
  for (const auto& [value, name] : kNames<Enum>.names) names.emplace_back(name);
  return names;
}

/// Throws Error(usage) that lists the names.
template <NamedEnum Enum>
Enum parse_name(std::string_view text) {
  std::string known;
  for (const auto& [value, name] : kNames<Enum>.names) {
    if (name == text) return value;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  throw Error(ExitStatus::usage,
              "'" + std::string(text) + "' is no " + std::string(kNames<Enum>.what) + "; known are " + known);
}

template <NamedEnum Enum>
void to_json(nlohmann::json& json, Enum value) {
  json = to_text(value);
}
template <NamedEnum Enum>
void from_json(const nlohmann::json& json, Enum& value) {
  value = parse_name<Enum>(json.get<std::string>());
}

}  // namespace vmi
