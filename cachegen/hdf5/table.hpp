// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/hdf5/file.hpp"
#include "cachegen/hdf5/schema.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <type_traits>

namespace vmi::h5 {

enum class ColumnKind { text, real, integer };

/// Where a column's value lies in a packed row; native byte order, text padded with NUL bytes.
struct ColumnLayout {
  std::string name;
  std::string unit;
  ColumnKind kind = ColumnKind::integer;
  std::size_t width = 8;   ///< bytes; for text the longest value that fits
  std::size_t offset = 0;  ///< from the row's first byte
};

/// A table without its row type: a one-dimensional, chunked, shuffled and gzip-compressed dataset of a
/// compound type, with the attribute `units`, one text per column in their order.
class RawTable {
 public:
  /// Offsets are computed here.
  static RawTable create(File& file, const std::string& name, std::vector<ColumnLayout> columns);
  /// Finds the `wanted` columns by name, whatever others there are; their widths and offsets are then the
  /// file's. Throws Error(unusable) that names the file and the missing table or column.
  static RawTable open(const File& file, const std::string& name, std::vector<ColumnLayout> wanted);

  const std::vector<ColumnLayout>& columns() const { return columns_; }
  std::size_t row_bytes() const { return row_bytes_; }
  std::size_t rows() const { return rows_; }

  /// `packed`: whole rows.
  void append(std::span<const std::byte> packed);
  std::vector<std::byte> read(std::size_t first, std::size_t count) const;

 private:
  RawTable() = default;
  std::string name_;
  std::vector<ColumnLayout> columns_;
  std::size_t row_bytes_ = 0;
  std::size_t rows_ = 0;
  TypeId memory_type_;
  DatasetId dataset_;
};

/// Throws Error(environment) when `text` is longer than its column or holds NUL bytes, which fixed-length
/// text cannot.
void check_text(const ColumnLayout& column, const std::string& text);

/// A table of Row structs, by their schema.
template <class Row>
class Table {
 public:
  /// Text columns become as wide as the longest value in `widest` (rows that are appended later must fit).
  static Table create(File& file, const TableSchema<Row>& schema, std::span<const Row> widest) {
    return Table(schema, RawTable::create(file, std::string(schema.name), layout_of(schema, widest)));
  }
  static Table open(const File& file, const TableSchema<Row>& schema) {
    return Table(schema, RawTable::open(file, std::string(schema.name), layout_of(schema, {})));
  }

  std::size_t rows() const { return raw_.rows(); }

  void append(std::span<const Row> rows) {
    for (std::size_t first = 0; first < rows.size(); first += kBatchRows) {
      const auto batch = rows.subspan(first, std::min(kBatchRows, rows.size() - first));
      std::vector<std::byte> packed(batch.size() * raw_.row_bytes());
      for (std::size_t i = 0; i < batch.size(); ++i) pack(batch[i], packed.data() + i * raw_.row_bytes());
      raw_.append(packed);
    }
  }

  std::vector<Row> read() const {
    std::vector<Row> rows(raw_.rows());
    for (std::size_t first = 0; first < rows.size(); first += kBatchRows) {
      const std::size_t count = std::min(kBatchRows, rows.size() - first);
      const std::vector<std::byte> packed = raw_.read(first, count);
      for (std::size_t i = 0; i < count; ++i) unpack(packed.data() + i * raw_.row_bytes(), rows[first + i]);
    }
    return rows;
  }

 private:
  static constexpr std::size_t kBatchRows = 1024;

  Table(const TableSchema<Row>& schema, RawTable raw) : schema_(schema), raw_(std::move(raw)) {}

  static std::vector<ColumnLayout> layout_of(const TableSchema<Row>& schema, std::span<const Row> widest) {
    std::vector<ColumnLayout> layout;
    for (const Column<Row>& column : schema.columns) {
      ColumnLayout entry{std::string(column.name), std::string(column.unit)};
      if (const auto* text = std::get_if<std::string Row::*>(&column.member)) {
        entry.kind = ColumnKind::text;
        entry.width = 1;  // HDF5 has no text of no bytes
        for (const Row& row : widest) entry.width = std::max(entry.width, (row.*(*text)).size());
      } else if (std::holds_alternative<double Row::*>(column.member)) {
        entry.kind = ColumnKind::real;
      }
      layout.push_back(std::move(entry));
    }
    return layout;
  }

  void pack(const Row& row, std::byte* into) const {
    auto layout = raw_.columns().begin();
    for_each_column(schema_, row, [&](const Column<Row>&, const auto& value) {
      if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>) {
        check_text(*layout, value);
        std::memcpy(into + layout->offset, value.data(), value.size());
      } else {
        std::memcpy(into + layout->offset, &value, sizeof value);
      }
      ++layout;
    });
  }

  void unpack(const std::byte* from, Row& row) const {
    auto layout = raw_.columns().begin();
    for_each_column(schema_, row, [&](const Column<Row>&, auto& value) {
      if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>) {
        const char* text = reinterpret_cast<const char*>(from + layout->offset);
        value.assign(text, strnlen(text, layout->width));
      } else {
        std::memcpy(&value, from + layout->offset, sizeof value);
      }
      ++layout;
    });
  }

  TableSchema<Row> schema_;
  RawTable raw_;
};

template <class Row>
void write_table(File& file, const TableSchema<Row>& schema, std::span<const Row> rows) {
  Table<Row>::create(file, schema, rows).append(rows);
}

template <class Row>
std::vector<Row> read_table(const File& file, const TableSchema<Row>& schema) {
  return Table<Row>::open(file, schema).read();
}

}  // namespace vmi::h5
