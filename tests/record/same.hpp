// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/hdf5/schema.hpp"

#include <vector>

namespace vmi {

inline bool same_value(double a, double b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}
template <class Value>
bool same_value(const Value& a, const Value& b) {
  return a == b;
}

/// Equal in every column; NaN equals NaN.
template <class Row>
bool same(const TableSchema<Row>& schema, const Row& a, const Row& b) {
  bool equal = true;
  for (const Column<Row>& column : schema.columns) {
    std::visit([&](auto member) { equal = equal && same_value(a.*member, b.*member); }, column.member);
  }
  return equal;
}

template <class Row>
bool same(const TableSchema<Row>& schema, const std::vector<Row>& a, const std::vector<Row>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!same(schema, a[i], b[i])) return false;
  }
  return true;
}

}  // namespace vmi
