// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/hdf5/id.hpp"
#include "cachegen/support/file.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace vmi::h5 {

/// An HDF5 file: built in memory and then saved in one go, or opened for reading.
///
/// HDF5 itself never writes to a disk here. It is built on HDF5's `core` driver, and the finished image is
/// written by our own code: a full disk is an ordinary Error, not a library that cannot close its file, and
/// neither HDF5's file locks (which shared file systems often lack) nor half-written files are ever met. Not
/// safe for use by several threads at once, as HDF5 is not.
class File {
 public:
  static File create();
  /// Throws Error(unusable) naming the path and whether it is missing, unreadable or no HDF5 file.
  static File open(const fs::path& path);

  /// Writes the file under a temporary name beside `path`, syncs it and renames it: readers see the old or
  /// the new one.
  void save(const fs::path& path);

  /// Root attributes: scalar variable-length UTF-8 text, int64 or float64. One that exists is replaced.
  void set_attribute(const std::string& name, const std::string& value);
  void set_attribute(const std::string& name, std::int64_t value);
  void set_attribute(const std::string& name, double value);
  std::optional<std::string> text_attribute(const std::string& name) const;
  std::optional<std::int64_t> integer_attribute(const std::string& name) const;
  std::optional<double> real_attribute(const std::string& name) const;

  hid_t id() const { return file_.get(); }
  /// The path given to open(), or nothing; for messages.
  const fs::path& path() const { return path_; }

 private:
  File(FileId file, fs::path path) : file_(std::move(file)), path_(std::move(path)) {}
  FileId file_;
  fs::path path_;
};

}  // namespace vmi::h5
