// SPDX-License-Identifier: Apache-2.0
#include "launcher/record/record_file.hpp"

#include "cachegen/hdf5/table.hpp"
#include "launcher/record/schema.hpp"

namespace vmi {
namespace {

constexpr const char* kVersionAttribute = "schema_version";
constexpr const char* kNotePrefix = "note.";
constexpr const char* kUnfinished = "unfinished";

template <class Row>
void write_attributes(h5::File& file, const TableSchema<Row>& schema, const Row& row) {
  for_each_column(schema, row, [&](const Column<Row>& column, const auto& value) {
    file.set_attribute(std::string(column.name), value);
  });
}

template <class Row>
void write_rows(h5::File& file, const TableSchema<Row>& schema, const std::vector<Row>& rows) {
  h5::write_table<Row>(file, schema, rows);
}

}  // namespace

void write_record(const RunRecord& record, const fs::path& path) {
  h5::File file = h5::File::create();
  RunEnd end = record.end;
  if (!record.complete) end.outcome = kUnfinished;
  file.set_attribute(kVersionAttribute, kRecordSchemaVersion);
  file.set_attribute("complete", std::int64_t{record.complete});
  file.set_attribute("journal_lines_lost", record.journal_lines_lost);
  write_attributes(file, end_schema(), end);
  write_attributes(file, attribute_schema(), record.attributes);
  for (const auto& [key, value] : record.attributes.notes) file.set_attribute(kNotePrefix + key, value);
  write_rows(file, vm_schema(), record.vms);
  write_rows(file, image_schema(), record.images);
  write_rows(file, node_schema(), record.nodes);
  write_rows(file, phase_schema(), record.phases);
  write_rows(file, error_schema(), record.errors);
  write_rows(file, boot_trace_schema(), record.boot_trace);
  file.save(path);
}

}  // namespace vmi
