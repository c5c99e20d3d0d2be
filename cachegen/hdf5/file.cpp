// SPDX-License-Identifier: Apache-2.0
#include "cachegen/hdf5/file.hpp"

#include <atomic>

#include <fcntl.h>

namespace vmi::h5 {
namespace {

/// Errors become exceptions; HDF5's own printing of its error stack would only repeat them in another voice.
void silence_hdf5() {
  static const bool done = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  static_cast<void>(done);
}

TypeId text_type() {
  TypeId type(check(H5Tcopy(H5T_C_S1), "cannot make an HDF5 text type"));
  check(H5Tset_size(type.get(), H5T_VARIABLE), "cannot size an HDF5 text type");
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "cannot make an HDF5 text type UTF-8");
  return type;
}

void write_scalar(hid_t file, const std::string& name, hid_t type, const void* value) {
  const std::string what = "cannot write HDF5 attribute '" + name + "'";
  if (check(H5Aexists(file, name.c_str()), what) > 0) check(H5Adelete(file, name.c_str()), what);
  const SpaceId space(check(H5Screate(H5S_SCALAR), what));
  const AttributeId attribute(
      check(H5Acreate2(file, name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT), what));
  check(H5Awrite(attribute.get(), type, value), what);
}

/// The attribute, when there is one; throws Error(unusable) when it is no scalar of that class.
std::optional<AttributeId> open_scalar(const File& file, const std::string& name, H5T_class_t wanted) {
  const std::string what = "cannot read attribute '" + name + "' of '" + file.path().string() + "'";
  if (check(H5Aexists(file.id(), name.c_str()), what, ExitStatus::unusable) == 0) return std::nullopt;
  AttributeId attribute(check(H5Aopen(file.id(), name.c_str(), H5P_DEFAULT), what, ExitStatus::unusable));
  const TypeId type(check(H5Aget_type(attribute.get()), what, ExitStatus::unusable));
  const SpaceId space(check(H5Aget_space(attribute.get()), what, ExitStatus::unusable));
  const bool fits = H5Tget_class(type.get()) == wanted && H5Sget_simple_extent_npoints(space.get()) == 1 &&
                    (wanted != H5T_STRING || H5Tis_variable_str(type.get()) > 0);
  if (!fits) throw Error(ExitStatus::unusable, what + ": it has another type than this program writes");
  return attribute;
}

template <class Number>
std::optional<Number> read_number(const File& file, const std::string& name, H5T_class_t wanted, hid_t type) {
  const auto attribute = open_scalar(file, name, wanted);
  if (!attribute) return std::nullopt;
  Number value{};
  check(H5Aread(attribute->get(), type, &value), "cannot read attribute '" + name + "'",
        ExitStatus::unusable);
  return value;
}

}  // namespace

File File::create() {
  silence_hdf5();
  // Files in memory are told apart by their names.
  static std::atomic<unsigned> count{0};
  const std::string name = "vmi-h5-" + std::to_string(count++);
  const PropertiesId access(check(H5Pcreate(H5P_FILE_ACCESS), "cannot set up HDF5"));
  check(H5Pset_fapl_core(access.get(), 1 * MiB, /*backing_store=*/0), "cannot set up HDF5's core driver");
  return {FileId(check(H5Fcreate(name.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()),
                       "cannot start an HDF5 file")),
          {}};
}

File File::open(const fs::path& path) {
  silence_hdf5();
  open_file(path, O_RDONLY, 0, ExitStatus::unusable);  // for its message
  const PropertiesId access(check(H5Pcreate(H5P_FILE_ACCESS), "cannot set up HDF5"));
  check(H5Pset_file_locking(access.get(), /*use=*/0, /*ignore_when_disabled=*/1), "cannot set up HDF5");
  FileId file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()));
  if (file.get() < 0) throw_hdf5(ExitStatus::unusable, "'" + path.string() + "' is no readable HDF5 file");
  return {std::move(file), path};
}

void File::save(const fs::path& path) {
  const std::string what = "cannot build HDF5 file '" + path.string() + "'";
  check(H5Fflush(id(), H5F_SCOPE_GLOBAL), what);
  std::string image(static_cast<std::size_t>(check(H5Fget_file_image(id(), nullptr, 0), what)), '\0');
  check(H5Fget_file_image(id(), image.data(), image.size()), what);
  write_text_atomically(path, image);
}

void File::set_attribute(const std::string& name, const std::string& value) {
  const char* text = value.c_str();
  write_scalar(id(), name, text_type().get(), &text);
}

void File::set_attribute(const std::string& name, std::int64_t value) {
  write_scalar(id(), name, H5T_NATIVE_INT64, &value);
}

void File::set_attribute(const std::string& name, double value) {
  write_scalar(id(), name, H5T_NATIVE_DOUBLE, &value);
}

std::optional<std::string> File::text_attribute(const std::string& name) const {
  const auto attribute = open_scalar(*this, name, H5T_STRING);
  if (!attribute) return std::nullopt;
  char* text = nullptr;
  check(H5Aread(attribute->get(), text_type().get(), &text), "cannot read attribute '" + name + "'",
        ExitStatus::unusable);
  std::string value(text == nullptr ? "" : text);
  H5free_memory(text);
  return value;
}

std::optional<std::int64_t> File::integer_attribute(const std::string& name) const {
  return read_number<std::int64_t>(*this, name, H5T_INTEGER, H5T_NATIVE_INT64);
}

std::optional<double> File::real_attribute(const std::string& name) const {
  return read_number<double>(*this, name, H5T_FLOAT, H5T_NATIVE_DOUBLE);
}

}  // namespace vmi::h5
