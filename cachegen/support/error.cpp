// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/error.hpp"

#include <system_error>

namespace vmi {

std::string errno_text(int error_number) {
  return std::generic_category().message(error_number);
}

void throw_errno(ExitStatus status, std::string_view what, int error_number) {
  throw Error(status, std::string(what) + ": " + errno_text(error_number));
}

}  // namespace vmi
