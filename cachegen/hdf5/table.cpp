// SPDX-License-Identifier: Apache-2.0
#include "cachegen/hdf5/table.hpp"

namespace vmi::h5 {
namespace {

/// Bytes of a chunk before compression: the unit in which HDF5 reads and compresses.
constexpr std::size_t kChunkBytes = 256 * KiB;
constexpr hsize_t kMostChunkRows = 8192;
constexpr unsigned kGzipLevel = 6;

TypeId column_type(const ColumnLayout& column) {
  const std::string what = "cannot make the type of HDF5 column '" + column.name + "'";
  if (column.kind == ColumnKind::real) return TypeId(check(H5Tcopy(H5T_NATIVE_DOUBLE), what));
  if (column.kind == ColumnKind::integer) return TypeId(check(H5Tcopy(H5T_NATIVE_INT64), what));
  TypeId type(check(H5Tcopy(H5T_C_S1), what));
  check(H5Tset_size(type.get(), column.width), what);
  check(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), what);
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), what);
  return type;
}

/// Sets the columns' offsets and returns the bytes of a row.
std::size_t pack_offsets(std::vector<ColumnLayout>& columns) {
  std::size_t bytes = 0;
  for (ColumnLayout& column : columns) {
    column.offset = bytes;
    bytes += column.width;
  }
  return bytes;
}

TypeId row_type(const std::vector<ColumnLayout>& columns, std::size_t row_bytes) {
  TypeId type(check(H5Tcreate(H5T_COMPOUND, row_bytes), "cannot make an HDF5 row type"));
  for (const ColumnLayout& column : columns) {
    check(H5Tinsert(type.get(), column.name.c_str(), column.offset, column_type(column).get()),
          "cannot add HDF5 column '" + column.name + "'");
  }
  return type;
}

PropertiesId table_properties(std::size_t row_bytes) {
  PropertiesId properties(check(H5Pcreate(H5P_DATASET_CREATE), "cannot set up an HDF5 table"));
  const hsize_t chunk = std::clamp<hsize_t>(kChunkBytes / row_bytes, 1, kMostChunkRows);
  // What is in a table decides its bytes, not the second in which it was written.
  check(H5Pset_obj_track_times(properties.get(), false), "cannot set up an HDF5 table");
  check(H5Pset_chunk(properties.get(), 1, &chunk), "cannot chunk an HDF5 table");
  check(H5Pset_shuffle(properties.get()), "HDF5 has no shuffle filter");
  check(H5Pset_deflate(properties.get(), kGzipLevel), "HDF5 has no gzip filter");
  return properties;
}

void write_units(hid_t dataset, const std::vector<ColumnLayout>& columns) {
  const char* const what = "cannot write the units of an HDF5 table";
  std::vector<const char*> units;
  units.reserve(columns.size());
  for (const ColumnLayout& column : columns) units.push_back(column.unit.c_str());
  const hsize_t count = units.size();
  const TypeId type(check(H5Tcopy(H5T_C_S1), what));
  check(H5Tset_size(type.get(), H5T_VARIABLE), what);
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), what);
  const SpaceId space(check(H5Screate_simple(1, &count, nullptr), what));
  const AttributeId attribute(
      check(H5Acreate2(dataset, "units", type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), what));
  check(H5Awrite(attribute.get(), type.get(), units.data()), what);
}

H5T_class_t class_of(ColumnKind kind) {
  if (kind == ColumnKind::text) return H5T_STRING;
  return kind == ColumnKind::real ? H5T_FLOAT : H5T_INTEGER;
}

/// Checks that the file's row type has `column`, and takes its width over.
void match_column(hid_t file_type, ColumnLayout& column, const std::string& what) {
  const int index = H5Tget_member_index(file_type, column.name.c_str());
  if (index < 0) throw Error(ExitStatus::unusable, what + " has no column '" + column.name + "'");
  const TypeId type(H5Tget_member_type(file_type, static_cast<unsigned>(index)));
  if (H5Tget_class(type.get()) != class_of(column.kind) || H5Tis_variable_str(type.get()) > 0) {
    throw Error(ExitStatus::unusable, what + " has a column '" + column.name + "' of another type");
  }
  if (column.kind == ColumnKind::text) column.width = H5Tget_size(type.get());
}

}  // namespace

RawTable RawTable::create(File& file, const std::string& name, std::vector<ColumnLayout> columns) {
  const std::string what = "cannot create HDF5 table '" + name + "'";
  RawTable table;
  table.name_ = name;
  table.row_bytes_ = pack_offsets(columns);
  table.columns_ = std::move(columns);
  table.memory_type_ = row_type(table.columns_, table.row_bytes_);
  const hsize_t none = 0;
  const hsize_t unlimited = H5S_UNLIMITED;
  const SpaceId space(check(H5Screate_simple(1, &none, &unlimited), what));
  const PropertiesId properties = table_properties(table.row_bytes_);
  table.dataset_.reset(check(H5Dcreate2(file.id(), name.c_str(), table.memory_type_.get(), space.get(),
                                        H5P_DEFAULT, properties.get(), H5P_DEFAULT),
                             what));
  write_units(table.dataset_.get(), table.columns_);
  return table;
}

RawTable RawTable::open(const File& file, const std::string& name, std::vector<ColumnLayout> wanted) {
  const std::string what = "'" + file.path().string() + "': table '" + name + "'";
  if (H5Lexists(file.id(), name.c_str(), H5P_DEFAULT) <= 0) {
    throw Error(ExitStatus::unusable, "'" + file.path().string() + "' has no table '" + name + "'");
  }
  RawTable table;
  table.name_ = name;
  table.dataset_.reset(check(H5Dopen2(file.id(), name.c_str(), H5P_DEFAULT), what, ExitStatus::unusable));
  const TypeId file_type(check(H5Dget_type(table.dataset_.get()), what, ExitStatus::unusable));
  const SpaceId space(check(H5Dget_space(table.dataset_.get()), what, ExitStatus::unusable));
  if (H5Tget_class(file_type.get()) != H5T_COMPOUND || H5Sget_simple_extent_ndims(space.get()) != 1) {
    throw Error(ExitStatus::unusable, what + " is not a flat table of rows");
  }
  table.rows_ = static_cast<std::size_t>(H5Sget_simple_extent_npoints(space.get()));
  for (ColumnLayout& column : wanted) match_column(file_type.get(), column, what);
  table.row_bytes_ = pack_offsets(wanted);
  table.columns_ = std::move(wanted);
  table.memory_type_ = row_type(table.columns_, table.row_bytes_);
  return table;
}

void RawTable::append(std::span<const std::byte> packed) {
  const std::string what = "cannot append to HDF5 table '" + name_ + "'";
  const hsize_t first = rows_;
  const hsize_t count = packed.size() / row_bytes_;
  if (count == 0) return;
  const hsize_t total = first + count;
  check(H5Dset_extent(dataset_.get(), &total), what);
  const SpaceId in_file(check(H5Dget_space(dataset_.get()), what));
  check(H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, &first, nullptr, &count, nullptr), what);
  const SpaceId in_memory(check(H5Screate_simple(1, &count, nullptr), what));
  check(H5Dwrite(dataset_.get(), memory_type_.get(), in_memory.get(), in_file.get(), H5P_DEFAULT,
                 packed.data()),
        what);
  rows_ = total;
}

std::vector<std::byte> RawTable::read(std::size_t first_row, std::size_t row_count) const {
  const std::string what = "cannot read HDF5 table '" + name_ + "'";
  std::vector<std::byte> packed(row_count * row_bytes_);
  if (row_count == 0) return packed;
  const hsize_t first = first_row;
  const hsize_t count = row_count;
  const SpaceId in_file(check(H5Dget_space(dataset_.get()), what, ExitStatus::unusable));
  check(H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, &first, nullptr, &count, nullptr), what,
        ExitStatus::unusable);
  const SpaceId in_memory(check(H5Screate_simple(1, &count, nullptr), what));
  check(
      H5Dread(dataset_.get(), memory_type_.get(), in_memory.get(), in_file.get(), H5P_DEFAULT, packed.data()),
      what, ExitStatus::unusable);
  return packed;
}

void check_text(const ColumnLayout& column, const std::string& text) {
  if (text.size() > column.width) {
    throw Error(ExitStatus::environment, "HDF5 column '" + column.name + "' holds texts of up to " +
                                             std::to_string(column.width) + " bytes, not one of " +
                                             std::to_string(text.size()));
  }
  if (text.find('\0') != std::string::npos) {
    throw Error(ExitStatus::environment,
                "HDF5 column '" + column.name + "' cannot hold a text with NUL bytes");
  }
}

}  // namespace vmi::h5
