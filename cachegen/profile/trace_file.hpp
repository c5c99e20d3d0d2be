// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/hdf5/boot_trace_table.hpp"
#include "cachegen/profile/profile.hpp"

namespace vmi {

/// The guests' requests in all runs of a profile as rows of /boot_trace. Whether a cache would have had them
/// is not known.
std::vector<BootTraceRow> boot_trace_rows(const BootProfile& profile, const std::string& image_url);

/// Writes an HDF5 file with just that table and /boot_runs. Throws Error(environment).
void write_boot_trace(const fs::path& path, const BootProfile& profile, const std::string& image_url);

/// Reads the table of such a file or of a launch's record. Throws Error(unusable) when there is none.
std::vector<BootTraceRow> read_boot_trace(const fs::path& path);

/// Reads /boot_runs of such a file, which a launch's record does not have. Throws Error(unusable).
std::vector<BootRunRow> read_boot_runs(const fs::path& path);

}  // namespace vmi
