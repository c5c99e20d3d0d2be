// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/record/record.hpp"

namespace vmi {

// The schemas of the record's tables; boot_trace_schema() is cachegen/hdf5/boot_trace_table.hpp's.
const TableSchema<VmRow>& vm_schema();
const TableSchema<ImageRow>& image_schema();
const TableSchema<NodeRow>& node_schema();
const TableSchema<PhaseRow>& phase_schema();
const TableSchema<ErrorRow>& error_schema();

// Root attributes, written the way tables are: one column, one attribute.
const TableSchema<RunAttributes>& attribute_schema();
const TableSchema<RunEnd>& end_schema();

}  // namespace vmi
