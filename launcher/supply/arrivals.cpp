// SPDX-License-Identifier: Apache-2.0
#include "launcher/supply/arrivals.hpp"

#include "launcher/launch/letter.hpp"

#include <cmath>

namespace vmi {
namespace {

/// Of several images, the one that moved says how the node came by its caches.
bool moved(const std::string& source) {
  return source != "none" && source != "held" && source != "shared";
}

void add(std::int64_t& sum, std::int64_t more) {
  if (more != kUnknownCount) sum = more + (sum == kUnknownCount ? 0 : sum);
}

}  // namespace

void Arrivals::add(const NodeRow& image) {
  any_ = true;
  const bool unknown = row_.cache_source.empty() || row_.cache_source == "none";
  if (unknown || (moved(image.cache_source) && !moved(row_.cache_source)))
    row_.cache_source = image.cache_source;
  vmi::add(row_.wire_bytes, image.wire_bytes);
  vmi::add(row_.payload_bytes, image.payload_bytes);
  // fmin and fmax pass over what is not known.
  row_.t_cache_first = std::fmin(row_.t_cache_first, image.t_cache_first);
  row_.t_cache_last = std::fmax(row_.t_cache_last, image.t_cache_last);
}

void Arrivals::post(Rank& rank) {
  if (!any_) return;
  row_.node = rank.layout().node;
  rank.team().post(node_letter(row_));
}

}  // namespace vmi
