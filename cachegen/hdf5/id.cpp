// SPDX-License-Identifier: Apache-2.0
#include "cachegen/hdf5/id.hpp"

#include <string>

namespace vmi::h5 {

void throw_hdf5(ExitStatus status, std::string_view what) {
  std::string reason;
  const auto keep_innermost = [](unsigned, const H5E_error2_t* entry, void* into) -> herr_t {
    auto& text = *static_cast<std::string*>(into);
    if (text.empty() && entry->desc != nullptr) text = entry->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &reason);
  throw Error(status, std::string(what) + ": " + (reason.empty() ? "HDF5 gives no reason" : reason));
}

}  // namespace vmi::h5
