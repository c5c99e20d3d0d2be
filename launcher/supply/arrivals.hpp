// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/rank.hpp"
#include "launcher/record/record.hpp"

namespace vmi {

/// How this node came by its caches, over all images: its row in the record. On leaders.
class Arrivals {
 public:
  /// Adds one image's: source, times and bytes.
  void add(const NodeRow& image);
  /// Tells rank 0; nothing where nothing was added.
  void post(Rank& rank);

 private:
  NodeRow row_;
  bool any_ = false;
};

}  // namespace vmi
