// SPDX-License-Identifier: Apache-2.0
// The journal's lines. Each is one JSON object, {"event": "vm", "name": "vm3", "state": "ready",
// "t_ready": 4.2}: the event's kind and the fields of its row that are known, named as the columns of the
// record's tables are.
#pragma once

#include "cachegen/support/owner.hpp"
#include "launcher/record/record.hpp"

#include <map>
#include <string_view>

#include <nlohmann/json.hpp>

namespace vmi {

/// First line of every journal.
struct JournalHeader {
  std::int64_t schema_version = kRecordSchemaVersion;
  Owner owner;         ///< the process that writes it
  std::string output;  ///< absolute path of the record that it is to become
};

nlohmann::json to_event(const JournalHeader& header);
nlohmann::json to_event(const RunAttributes& known);
nlohmann::json to_event(const RunEnd& end);
nlohmann::json to_event(const VmRow& known);
nlohmann::json to_event(const ImageRow& known);
nlohmann::json to_event(const NodeRow& known);
nlohmann::json to_event(const ErrorRow& error);
nlohmann::json to_event(const BootTraceRow& row);
nlohmann::json phase_begin_event(const std::string& name, double t);
nlohmann::json phase_end_event(const std::string& name, double t);

/// The event as a line with its newline. What is no UTF-8 in a text, and NUL, become U+FFFD.
std::string to_line(const nlohmann::json& event);

/// Nothing when the line is no journal's header. Throws Error(unusable) when a newer program wrote it.
std::optional<JournalHeader> parse_header(std::string_view line);

/// Makes a RunRecord of a journal's lines, in their order.
class Replay {
 public:
  /// `line` without its newline. One that cannot be read is counted and otherwise passed over.
  void line(std::string_view line);
  /// Everything up to the last newline; what follows it is an event whose writing was cut off, and is taken
  /// only if it is whole.
  void text(std::string_view journal);

  const RunRecord& record() const { return record_; }

 private:
  void apply(const nlohmann::json& event);

  RunRecord record_;
  std::map<std::string, std::size_t> vms_;  ///< key -> row
  std::map<std::string, std::size_t> images_;
  std::map<std::int64_t, std::size_t> nodes_;
};

}  // namespace vmi
