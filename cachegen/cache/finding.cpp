// SPDX-License-Identifier: Apache-2.0
#include "cachegen/cache/finding.hpp"

namespace vmi {

const char* fault_name(Fault fault) {
  switch (fault) {
    case Fault::not_a_cache:
      return "not_a_cache";
    case Fault::truncated:
      return "truncated";
    case Fault::extra_bytes:
      return "extra_bytes";
    case Fault::header:
      return "header";
    case Fault::refcounts:
      return "refcounts";
    case Fault::l1_table:
      return "l1_table";
    case Fault::l2_table:
      return "l2_table";
    case Fault::data:
      return "data";
    case Fault::trailer:
      return "trailer";
    case Fault::structure:
      return "structure";
    case Fault::written:
      return "written";
    case Fault::other_image:
      return "other_image";
    case Fault::base_changed:
      return "base_changed";
    case Fault::base_touched:
      return "base_touched";
  }
  return "unknown";
}

}  // namespace vmi
