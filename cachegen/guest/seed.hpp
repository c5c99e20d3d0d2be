// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"

#include <string>

namespace vmi {

/// What cloud-init's NoCloud data source reads from a disk labelled CIDATA.
struct Seed {
  std::string instance_id;
  std::string hostname;
  std::string user_data;  ///< any bytes: cloud-init takes compressed ones too
};

inline constexpr Bytes kMostUserData = 8 * MiB;

/// The disk, raw: a FAT12 file system with the files user-data and meta-data in its root. The same seed makes
/// the same bytes. Throws Error(usage) for user data above kMostUserData.
std::string seed_image(const Seed& seed);

/// Reads the file that --user-data names. Throws Error(usage) with the remedy when that cannot be.
std::string read_user_data(const fs::path& path);

}  // namespace vmi
