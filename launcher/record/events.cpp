// SPDX-License-Identifier: Apache-2.0
#include "launcher/record/events.hpp"

#include "launcher/record/schema.hpp"

namespace vmi {
namespace {

using nlohmann::json;

/// HDF5's fixed-length text ends at a NUL, so none may get into a record.
std::string without_nul(std::string text) {
  for (std::size_t at = text.find('\0'); at != std::string::npos; at = text.find('\0', at)) {
    text.replace(at, 1, "\xEF\xBF\xBD");
  }
  return text;
}

template <class Row>
json known_fields(const char* kind, const TableSchema<Row>& schema, const Row& row) {
  json event{{"event", kind}};
  for_each_column(schema, row, [&](const Column<Row>& column, const auto& value) {
    if (!is_known(value)) return;
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>) {
      event[std::string(column.name)] = without_nul(value);
    } else {
      event[std::string(column.name)] = value;
    }
  });
  return event;
}

/// Fields that the event has replace the row's. Throws json's exception when one has another type.
template <class Row>
void apply_fields(const TableSchema<Row>& schema, const json& event, Row& row) {
  for_each_column(schema, row, [&](const Column<Row>& column, auto& value) {
    const auto field = event.find(column.name);
    if (field != event.end() && !field->is_null()) field->get_to(value);
  });
}

template <class Row, class Key>
Row& row_of(const Key& key, std::vector<Row>& rows, std::map<Key, std::size_t>& index) {
  const auto [entry, is_new] = index.try_emplace(key, rows.size());
  if (is_new) rows.emplace_back();
  return rows[entry->second];
}

void end_phase(std::vector<PhaseRow>& phases, const PhaseRow& ended) {
  for (auto phase = phases.rbegin(); phase != phases.rend(); ++phase) {
    if (phase->name != ended.name || is_known(phase->t_end)) continue;
    phase->t_end = ended.t_end;
    return;
  }
  phases.push_back(ended);  // its beginning is not known
}

}  // namespace

json to_event(const JournalHeader& header) {
  return {{"event", "journal"},
          {"schema_version", header.schema_version},
          {"owner", header.owner.to_text()},
          {"output", header.output}};
}

json to_event(const RunAttributes& known) {
  json event = known_fields("attributes", attribute_schema(), known);
  for (const auto& [key, value] : known.notes) event["notes"][without_nul(key)] = without_nul(value);
  return event;
}

json to_event(const RunEnd& end) {
  return known_fields("end", end_schema(), end);
}
json to_event(const VmRow& known) {
  return known_fields("vm", vm_schema(), known);
}
json to_event(const ImageRow& known) {
  return known_fields("image", image_schema(), known);
}
json to_event(const NodeRow& known) {
  return known_fields("node", node_schema(), known);
}
json to_event(const ErrorRow& error) {
  return known_fields("error", error_schema(), error);
}
json to_event(const BootTraceRow& row) {
  return known_fields("boot_trace", boot_trace_schema(), row);
}

json phase_begin_event(const std::string& name, double t) {
  return known_fields("phase_begin", phase_schema(), PhaseRow{.name = name, .t_begin = t});
}

json phase_end_event(const std::string& name, double t) {
  return known_fields("phase_end", phase_schema(), PhaseRow{.name = name, .t_end = t});
}

std::string to_line(const json& event) {
  return event.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::optional<JournalHeader> parse_header(std::string_view line) {
  const json event = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!event.is_object() || event.value("event", "") != "journal") return std::nullopt;
  JournalHeader header;
  try {
    header.schema_version = event.at("schema_version").get<std::int64_t>();
    header.output = event.at("output").get<std::string>();
    const std::optional<Owner> owner = Owner::from_text(event.at("owner").get<std::string>());
    if (!owner) return std::nullopt;
    header.owner = *owner;
  } catch (const json::exception&) {
    return std::nullopt;
  }
  if (header.schema_version > kRecordSchemaVersion) {
    throw Error(ExitStatus::unusable,
                "the journal has schema version " + std::to_string(header.schema_version) +
                    ", this program reads up to " + std::to_string(kRecordSchemaVersion) +
                    "; use the vmilaunch version that wrote it");
  }
  return header;
}

void Replay::line(std::string_view line) {
  const json event = json::parse(line, nullptr, /*allow_exceptions=*/false);
  try {
    apply(event);
  } catch (
      const json::exception&) {  // no object (as after a failed parse), a key that is missing, a wrong type
    ++record_.journal_lines_lost;
  }
}

void Replay::text(std::string_view journal) {
  while (!journal.empty()) {
    const std::size_t newline = journal.find('\n');
    if (newline == std::string_view::npos) {
      if (json::accept(journal)) line(journal);
      return;
    }
    line(journal.substr(0, newline));
    journal.remove_prefix(newline + 1);
  }
}

void Replay::apply(const json& event) {
  const auto kind = event.at("event").get<std::string>();
  if (kind == "vm") {
    apply_fields(vm_schema(), event, row_of(event.at("name").get<std::string>(), record_.vms, vms_));
  } else if (kind == "node") {
    apply_fields(node_schema(), event, row_of(event.at("node").get<std::int64_t>(), record_.nodes, nodes_));
  } else if (kind == "image") {
    apply_fields(image_schema(), event, row_of(event.at("url").get<std::string>(), record_.images, images_));
  } else if (kind == "phase_begin") {
    apply_fields(phase_schema(), event, record_.phases.emplace_back());
  } else if (kind == "phase_end") {
    PhaseRow ended;
    apply_fields(phase_schema(), event, ended);
    end_phase(record_.phases, ended);
  } else if (kind == "boot_trace") {
    apply_fields(boot_trace_schema(), event, record_.boot_trace.emplace_back());
  } else if (kind == "error") {
    apply_fields(error_schema(), event, record_.errors.emplace_back());
  } else if (kind == "attributes") {
    apply_fields(attribute_schema(), event, record_.attributes);
    if (event.contains("notes")) {
      for (const auto& [key, value] : event.at("notes").items()) record_.attributes.notes[key] = value;
    }
  } else if (kind == "end") {
    apply_fields(end_schema(), event, record_.end);
    record_.complete = true;
  } else if (kind != "journal") {
    ++record_.journal_lines_lost;
  }
}

}  // namespace vmi
