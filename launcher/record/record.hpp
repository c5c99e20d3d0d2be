// SPDX-License-Identifier: Apache-2.0
// What one launch leaves behind, as plain rows: docs/record.md says what each column means.
//
// Every row starts out all unknown (empty text, NaN, -1). That is also how a row tells the journal something:
// the fields that are known replace what was known before, the others leave it as it is. Times are seconds
// since the launch's common zero, on rank 0's clock.
#pragma once

#include "cachegen/hdf5/boot_trace_table.hpp"
#include "cachegen/hdf5/schema.hpp"

#include <map>
#include <string>
#include <vector>

namespace vmi {

/// Raised when a table or attribute is renamed, removed or given another meaning; not when one is added.
inline constexpr std::int64_t kRecordSchemaVersion = 1;

/// The record's root attributes, apart from those of RunEnd.
struct RunAttributes {
  std::string program_version;
  std::string command_line;
  std::string start;  ///< of the common zero: UTC, ISO 8601, "2024-05-01T12:00:00.123Z"
  std::string job_id;
  std::string mpi_library;
  std::string qemu_version;
  std::string libvirt_version;
  std::string backend;  ///< "libvirt" or "qemu"
  std::string accel;    ///< as resolved: "kvm" or "tcg"
  std::string machine;
  std::string cpu_model;             ///< as resolved: "host", "max", "Nehalem"
  std::string driver;                ///< as resolved: "vmicache", "qcow2", "copy-on-read"
  std::string cache_mode;            ///< "auto", "none", "cold", "full" or "path"
  std::string placement;             ///< "node" or "shared"
  std::string ready;                 ///< the ready spec
  std::int64_t vms = kUnknownCount;  ///< asked for
  std::int64_t ranks = kUnknownCount;
  std::int64_t nodes = kUnknownCount;
  std::int64_t nodes_held = kUnknownCount;    ///< nodes that held all their caches already
  std::int64_t cpus = kUnknownCount;          ///< per VM
  std::int64_t memory_bytes = kUnknownCount;  ///< per VM
  std::map<std::string, std::string> notes;   ///< --note KEY=VALUE; root attribute "note.KEY"
};

/// `state` of a VM: how far it got. A VM that was ready stays `ready` when the launch stops it (t_stopped
/// says when).
namespace vm_state {
inline constexpr const char* planned = "planned";    ///< has a place, nothing done yet
inline constexpr const char* prepared = "prepared";  ///< overlay made, domain created paused
inline constexpr const char* running = "running";    ///< its processors were started
inline constexpr const char* ready = "ready";
inline constexpr const char* failed = "failed";    ///< `error` says why; a ready spec that timed out is one
inline constexpr const char* stopped = "stopped";  ///< stopped by the launch before it was ready
}  // namespace vm_state

struct VmRow {
  std::string name;  ///< key
  std::int64_t rank = kUnknownCount;
  std::int64_t node = kUnknownCount;  ///< NodeRow::node
  std::string image;                  ///< ImageRow::url
  std::string state;                  ///< vm_state
  std::string error;
  double t_prepare = kUnknownTime;  ///< its preparation began
  double t_spawn = kUnknownTime;    ///< its QEMU process answers, paused
  double t_running = kUnknownTime;  ///< its processors were started
  double t_first_read = kUnknownTime;
  double t_ready = kUnknownTime;
  double t_stopped = kUnknownTime;
  std::string ready_by;               ///< "serial", "agent", "ssh", "exit", "none"
  std::int64_t hits = kUnknownCount;  ///< runs of bytes that the cache served
  std::int64_t misses = kUnknownCount;
  std::int64_t bytes_hit = kUnknownCount;
  std::int64_t bytes_miss = kUnknownCount;
  std::int64_t bytes_filled = kUnknownCount;
  std::int64_t bytes_read = kUnknownCount;  ///< by the guest
  double cpu_s = kUnknownTime;              ///< processor time of its QEMU process
  std::int64_t rss_bytes = kUnknownCount;
};

struct ImageRow {
  std::string url;  ///< key
  std::string format;
  std::int64_t virtual_bytes = kUnknownCount;
  std::string base_identity;  ///< digest of the base, or the fingerprint that stands for it
  std::string cache_digest;
  std::int64_t cached_bytes = kUnknownCount;
  std::int64_t file_bytes = kUnknownCount;  ///< of the cache
  std::int64_t quota = kUnknownCount;
  std::string mode;  ///< "auto", "none", "cold", "full" or "path"
};

struct NodeRow {
  std::int64_t node = kUnknownCount;  ///< key; NodeLayout::node
  std::string hostname;
  std::int64_t ranks = kUnknownCount;
  double clock_offset_s = kUnknownTime;  ///< this node's CLOCK_MONOTONIC minus rank 0's
  double clock_error_s = kUnknownTime;   ///< bound on the offset's error
  std::string cache_source;              ///< "held", "received", "copied", "filled", "shared", "none"
  double t_cache_first = kUnknownTime;   ///< first byte of the cache arrived
  double t_cache_last = kUnknownTime;
  std::int64_t wire_bytes = kUnknownCount;     ///< received over the network
  std::int64_t payload_bytes = kUnknownCount;  ///< of the cache, before compression and elision
};

struct PhaseRow {
  std::string name;  ///< "plan", "cache", "distribute", "prepare", "start", "ready", "hold", "command",
                     ///< "stop", "record"
  double t_begin = kUnknownTime;
  double t_end = kUnknownTime;
};

/// An error of the launch itself; a VM's own is in its row.
struct ErrorRow {
  double t = kUnknownTime;
  std::string source;  ///< "rank 3@node7" or the like
  std::string text;
};

/// How the launch ended, as far as its record can know.
struct RunEnd {
  std::string
      outcome;  ///< "ready", "vm_failed", "timed_out", "interrupted", "failed"; "unfinished" when recovered
  std::int64_t exit_status = kUnknownCount;
  std::string error;  ///< the message that the user saw
  double t_end = kUnknownTime;
};

struct RunRecord {
  RunAttributes attributes;
  RunEnd end;
  bool complete = false;                ///< the launch itself said how it ended
  std::int64_t journal_lines_lost = 0;  ///< lines of the journal that could not be read
  std::vector<VmRow> vms;
  std::vector<ImageRow> images;
  std::vector<NodeRow> nodes;
  std::vector<PhaseRow> phases;
  std::vector<ErrorRow> errors;
  std::vector<BootTraceRow> boot_trace;
};

}  // namespace vmi
