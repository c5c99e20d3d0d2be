// SPDX-License-Identifier: Apache-2.0
#include "launcher/team/transfer.hpp"

namespace vmi {

std::string to_text(TransferResult::Source source) {
  using Source = TransferResult::Source;
  switch (source) {
    case Source::none:
      return "none";
    case Source::held:
      return "held";
    case Source::received:
      return "received";
    case Source::copied:
      return "copied";
    case Source::origin:
      return "origin";
  }
  return "none";
}

}  // namespace vmi
