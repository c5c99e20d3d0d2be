// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/layout.hpp"
#include "cachegen/cache/qcow2_format.hpp"
#include "cachegen/support/file.hpp"

#include <map>
#include <span>
#include <vector>

namespace vmi {

/// A boot cache while it is written: data front to back first, then the tables and the trailer around it.
class CacheImage {
 public:
  CacheImage(const Fd& file, const fs::path& path, const Geometry& geometry, const Layout& layout,
             const std::map<std::uint64_t, std::uint64_t>& l2_tables);

  void put_zero(std::uint64_t cluster);
  void put_data(std::uint64_t cluster, std::span<const std::byte> bytes);

  /// Writes all that is still missing. `first` has backing name and format; the rest of it is filled in here,
  /// and so are the checksums of `trailer`. Returns the size of the file.
  Bytes finish(qcow2::FirstCluster first, Bytes quota, Trailer trailer);

 private:
  std::byte* l2_entry(std::uint64_t cluster);
  void flush();
  void write_tables(Bytes end);
  RegionSums region_sums(Bytes data_end) const;

  const Fd& file_;
  const fs::path& path_;
  Geometry geometry_;
  Layout layout_;
  std::map<std::uint64_t, std::uint64_t> l2_tables_;
  std::vector<std::byte> l2_;
  std::vector<std::byte> pending_;  ///< data that ends at data_end_ and is not written yet
  Bytes data_end_;
};

}  // namespace vmi
