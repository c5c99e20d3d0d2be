// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"
#include "launcher/record/record.hpp"

namespace vmi {

/// Writes the record as an HDF5 file (docs/record.md): temporary name, sync, rename. Throws
/// Error(environment).
void write_record(const RunRecord& record, const fs::path& path);

}  // namespace vmi
