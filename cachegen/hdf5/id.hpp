// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/error.hpp"

#include <string_view>
#include <utility>

#include <hdf5.h>

namespace vmi::h5 {

/// Owns one HDF5 identifier, closed by `Close`.
template <herr_t (*Close)(hid_t)>
class Id {
 public:
  Id() = default;
  explicit Id(hid_t id) : id_(id) {}
  Id(Id&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Id& operator=(Id&& other) noexcept {
    if (this != &other) reset(std::exchange(other.id_, H5I_INVALID_HID));
    return *this;
  }
  Id(const Id&) = delete;
  Id& operator=(const Id&) = delete;
  ~Id() { reset(); }

  hid_t get() const { return id_; }
  void reset(hid_t id = H5I_INVALID_HID) noexcept {
    if (id_ >= 0) Close(id_);
    id_ = id;
  }

 private:
  hid_t id_ = H5I_INVALID_HID;
};

using FileId = Id<H5Fclose>;
using DatasetId = Id<H5Dclose>;
using TypeId = Id<H5Tclose>;
using SpaceId = Id<H5Sclose>;
using AttributeId = Id<H5Aclose>;
using PropertiesId = Id<H5Pclose>;

/// Throws Error(status, "what: the innermost message on HDF5's error stack").
[[noreturn]] void throw_hdf5(ExitStatus status, std::string_view what);

/// Passes on what an HDF5 call returned; a negative value (HDF5's sign of failure) throws.
template <class Result>
Result check(Result result, std::string_view what, ExitStatus status = ExitStatus::environment) {
  if (result < 0) throw_hdf5(status, what);
  return result;
}

}  // namespace vmi::h5
