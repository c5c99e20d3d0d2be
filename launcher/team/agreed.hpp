// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/error.hpp"

#include <optional>
#include <string>

namespace vmi {

/// A failure that every rank throws with the same text, which needs no rank's name before it.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// Runs `work` and keeps its Error for the ranks' next agreement.
template <typename Work>
std::optional<Error> attempt(Work&& work) {
  try {
    work();
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  }
}

/// The name of this host, as messages give it.
std::string host_name();

}  // namespace vmi
