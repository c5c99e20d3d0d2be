// SPDX-License-Identifier: Apache-2.0
#include "experiments/guest/replay_trace.hpp"

#include "cachegen/support/error.hpp"
#include "cachegen/support/file.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include <fcntl.h>

namespace vmi::replay {
namespace {

constexpr std::int64_t kMostBytes = 2 * MiB;  ///< of one request; BaseReader reads no more at once

Error unusable(const std::string& reason) {
  return {ExitStatus::unusable, "boot trace: " + reason};
}

bool is_write(const BootTraceRow& row) {
  return row.op == "write";
}

/// Rows of the run that were submitted before readiness, in the order of submission.
std::vector<BootTraceRow> rows_of(const std::vector<BootTraceRow>& all, std::int64_t run, double t_ready) {
  std::vector<BootTraceRow> rows;
  for (const BootTraceRow& row : all) {
    if (row.run != run || (row.op != "read" && row.op != "write") || row.t_submit > t_ready) continue;
    if (row.offset % REPLAY_SECTOR != 0 || row.bytes % REPLAY_SECTOR != 0 || row.bytes <= 0 ||
        row.bytes > kMostBytes)
      throw unusable("a request of " + std::to_string(row.bytes) + " bytes at " + std::to_string(row.offset) +
                     " is not of whole sectors, or too large");
    rows.push_back(row);
  }
  if (rows.empty()) throw unusable("it has no requests of run " + std::to_string(run) + " before readiness");
  for (BootTraceRow& row : rows) {
    if (!is_known(row.t_complete)) row.t_complete = t_ready;
  }
  std::ranges::stable_sort(rows, {}, &BootTraceRow::t_submit);
  return rows;
}

bool conflict(const BootTraceRow& one, const BootTraceRow& other) {
  return (is_write(one) || is_write(other)) && one.offset < other.offset + other.bytes &&
         other.offset < one.offset + one.bytes;
}

std::uint32_t microseconds(double seconds) {
  const double rounded = std::round(std::max(seconds, 0.0) * 1e6);
  if (rounded > std::numeric_limits<std::uint32_t>::max()) throw unusable("a pause of more than an hour");
  return static_cast<std::uint32_t>(rounded);
}

/// Rows in the order of submission: how many of the first ones must be complete when row `i` is submitted.
/// `after` is that number for the row before it.
std::size_t completed_before(const std::vector<BootTraceRow>& rows, std::size_t i, std::size_t after) {
  while (after < i && rows[after].t_complete <= rows[i].t_submit) ++after;
  std::size_t needed = std::max(after, i - std::min<std::size_t>(i, REPLAY_MOST_IN_FLIGHT - 1));
  for (std::size_t k = needed; k < i; ++k) {
    if (conflict(rows[i], rows[k])) needed = k + 1;
  }
  return needed;
}

/// The lowest place for `step` among the steps that may be under way with it.
std::uint32_t buffer_beside(std::span<const replay_step> others, const replay_step& step) {
  constexpr std::uint32_t kAlign = 64;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> taken;
  for (const replay_step& other : others) taken.emplace_back(other.buffer, other.buffer + other.bytes);
  std::ranges::sort(taken);
  std::uint32_t at = 0;
  for (const auto& [begin, end] : taken) {
    if (at + step.bytes <= begin) break;
    at = std::max(at, (end + kAlign - 1) / kAlign * kAlign);
  }
  return at;
}

}  // namespace

Trace convert(const std::vector<BootTraceRow>& all, std::int64_t run, double t_ready) {
  const std::vector<BootTraceRow> rows = rows_of(all, run, t_ready);
  Trace trace;
  trace.header = {
      .magic = REPLAY_MAGIC, .version = REPLAY_VERSION, .steps = static_cast<std::uint32_t>(rows.size())};
  double submitted = 0, last_end = 0;
  std::size_t after = 0;
  const auto wait_for = [&](std::size_t count) {
    for (; after < count; ++after) last_end = std::max(last_end, rows[after].t_complete);
  };
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const BootTraceRow& row = rows[i];
    wait_for(completed_before(rows, i, after));
    const std::uint64_t sector = static_cast<std::uint64_t>(row.offset) / REPLAY_SECTOR;
    if (sector > std::numeric_limits<std::uint32_t>::max()) throw unusable("a request lies beyond 2 TiB");
    replay_step step{.sector = static_cast<std::uint32_t>(sector),
                     .bytes = static_cast<std::uint32_t>(row.bytes),
                     .write = is_write(row) ? 1U : 0U,
                     .after = static_cast<std::uint32_t>(after),
                     .think_us = microseconds(row.t_submit - std::max(submitted, last_end))};
    step.buffer = buffer_beside(std::span(trace.steps).subspan(after), step);
    trace.header.buffer_bytes = std::max(trace.header.buffer_bytes, step.buffer + step.bytes);
    trace.steps.push_back(step);
    submitted = row.t_submit;
  }
  wait_for(rows.size());
  trace.header.tail_us = microseconds(t_ready - std::max(submitted, last_end));
  return trace;
}

void write_trace(const fs::path& path, const Trace& trace) {
  std::string bytes(sizeof trace.header + trace.steps.size() * sizeof(replay_step), '\0');
  std::memcpy(bytes.data(), &trace.header, sizeof trace.header);
  std::memcpy(bytes.data() + sizeof trace.header, trace.steps.data(),
              trace.steps.size() * sizeof(replay_step));
  write_text_atomically(path, bytes);
}

Trace read_trace(const fs::path& path) {
  const std::string bytes = read_text(path);
  Trace trace;
  if (bytes.size() >= sizeof trace.header) std::memcpy(&trace.header, bytes.data(), sizeof trace.header);
  if (trace.header.magic != REPLAY_MAGIC || trace.header.version != REPLAY_VERSION ||
      bytes.size() != sizeof trace.header + trace.header.steps * sizeof(replay_step)) {
    throw Error(
        ExitStatus::unusable,
        "'" + path.string() + "' is no replay trace of this version; make it with 'replay-trace convert'");
  }
  trace.steps.resize(trace.header.steps);
  std::memcpy(trace.steps.data(), bytes.data() + sizeof trace.header,
              trace.steps.size() * sizeof(replay_step));
  return trace;
}

}  // namespace vmi::replay
