// SPDX-License-Identifier: Apache-2.0
// A table's schema: which member of a plain struct is which column, under which name and in which unit.
// The HDF5 tables, the launch's journal (launcher/record) and the documentation's test all use the same
// schema, so a column is added in one place.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace vmi {

/// A time (seconds) or other real number that is not known, or of what did not happen.
inline constexpr double kUnknownTime = std::numeric_limits<double>::quiet_NaN();
/// A count, size or number that is not known.
inline constexpr std::int64_t kUnknownCount = -1;

inline bool is_known(const std::string& text) {
  return !text.empty();
}
inline bool is_known(double number) {
  return !std::isnan(number);
}
inline bool is_known(std::int64_t count) {
  return count != kUnknownCount;
}

/// One column. Its type in a file follows the member's: fixed-length UTF-8 text, float64 or int64.
template <class Row>
struct Column {
  std::string_view name;
  std::string_view unit;  ///< "s", "bytes", "1" for plain numbers, "" for text
  std::variant<std::string Row::*, double Row::*, std::int64_t Row::*> member;
};

template <class Row>
struct TableSchema {
  std::string_view name;  ///< of the dataset, in the file's root group
  std::vector<Column<Row>> columns;
};

/// Calls `visit(column, row.*member)` for each column in order.
template <class Row, class AnyRow, class Visit>
void for_each_column(const TableSchema<Row>& schema, AnyRow& row, Visit&& visit) {
  for (const Column<Row>& column : schema.columns) {
    std::visit([&](auto member) { visit(column, row.*member); }, column.member);
  }
}

}  // namespace vmi
