// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/letter.hpp"

#include <cmath>

namespace vmi {
namespace {

constexpr char kEvent = 'E';
constexpr char kNode = 'N';
constexpr char kLast = 'L';

/// JSON has no NaN: what is not known is left out.
void put_time(nlohmann::json& json, const char* name, double value) {
  if (!std::isnan(value)) json[name] = value;
}

NodeRow node_row(const nlohmann::json& json) {
  NodeRow row;
  row.node = json.at("node");
  row.hostname = json.value("hostname", "");
  row.ranks = json.value("ranks", kUnknownCount);
  row.clock_offset_s = json.value("clock_offset_s", kUnknownTime);
  row.clock_error_s = json.value("clock_error_s", kUnknownTime);
  row.cache_source = json.value("cache_source", "");
  row.t_cache_first = json.value("t_cache_first", kUnknownTime);
  row.t_cache_last = json.value("t_cache_last", kUnknownTime);
  row.wire_bytes = json.value("wire_bytes", kUnknownCount);
  row.payload_bytes = json.value("payload_bytes", kUnknownCount);
  return row;
}

}  // namespace

std::string event_letter(std::string_view event_text) {
  return kEvent + std::string(event_text);
}

std::string node_letter(const NodeRow& row) {
  nlohmann::json json = {{"node", row.node}};
  if (!row.hostname.empty()) json["hostname"] = row.hostname;
  if (row.ranks != kUnknownCount) json["ranks"] = row.ranks;
  if (!row.cache_source.empty()) json["cache_source"] = row.cache_source;
  put_time(json, "clock_offset_s", row.clock_offset_s);
  put_time(json, "clock_error_s", row.clock_error_s);
  put_time(json, "t_cache_first", row.t_cache_first);
  put_time(json, "t_cache_last", row.t_cache_last);
  if (row.wire_bytes != kUnknownCount) json["wire_bytes"] = row.wire_bytes;
  if (row.payload_bytes != kUnknownCount) json["payload_bytes"] = row.payload_bytes;
  return kNode + json.dump();
}

std::string last_letter() {
  return {kLast};
}

bool is_last_letter(const std::string& text) {
  return text == last_letter();
}

Letter parse_letter(const std::string& text) {
  const char kind = text.empty() ? '\0' : text.front();
  try {
    if (kind == kEvent) return parse_event(text.substr(1));
    if (kind == kNode) return node_row(nlohmann::json::parse(text.substr(1)));
  } catch (const nlohmann::json::exception& error) {
    throw Error(ExitStatus::environment, std::string("a damaged letter to rank 0: ") + error.what());
  }
  throw Error(ExitStatus::environment, "a damaged letter to rank 0: '" + text.substr(0, 100) + "'");
}

}  // namespace vmi
