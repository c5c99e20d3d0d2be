// SPDX-License-Identifier: Apache-2.0
#include "launcher/record/schema.hpp"

namespace vmi {

const TableSchema<VmRow>& vm_schema() {
  using Row = VmRow;
  static const TableSchema<Row> schema{"vms",
                                       {{"name", "", &Row::name},
                                        {"rank", "1", &Row::rank},
                                        {"node", "1", &Row::node},
                                        {"image", "", &Row::image},
                                        {"state", "", &Row::state},
                                        {"error", "", &Row::error},
                                        {"t_prepare", "s", &Row::t_prepare},
                                        {"t_spawn", "s", &Row::t_spawn},
                                        {"t_running", "s", &Row::t_running},
                                        {"t_first_read", "s", &Row::t_first_read},
                                        {"t_ready", "s", &Row::t_ready},
                                        {"t_stopped", "s", &Row::t_stopped},
                                        {"ready_by", "", &Row::ready_by},
                                        {"hits", "1", &Row::hits},
                                        {"misses", "1", &Row::misses},
                                        {"bytes_hit", "bytes", &Row::bytes_hit},
                                        {"bytes_miss", "bytes", &Row::bytes_miss},
                                        {"bytes_filled", "bytes", &Row::bytes_filled},
                                        {"bytes_read", "bytes", &Row::bytes_read},
                                        {"cpu_s", "s", &Row::cpu_s},
                                        {"rss_bytes", "bytes", &Row::rss_bytes}}};
  return schema;
}

const TableSchema<ImageRow>& image_schema() {
  using Row = ImageRow;
  static const TableSchema<Row> schema{"images",
                                       {{"url", "", &Row::url},
                                        {"format", "", &Row::format},
                                        {"virtual_bytes", "bytes", &Row::virtual_bytes},
                                        {"base_identity", "", &Row::base_identity},
                                        {"cache_digest", "", &Row::cache_digest},
                                        {"cached_bytes", "bytes", &Row::cached_bytes},
                                        {"file_bytes", "bytes", &Row::file_bytes},
                                        {"quota", "bytes", &Row::quota},
                                        {"mode", "", &Row::mode}}};
  return schema;
}

const TableSchema<NodeRow>& node_schema() {
  using Row = NodeRow;
  static const TableSchema<Row> schema{"nodes",
                                       {{"node", "1", &Row::node},
                                        {"hostname", "", &Row::hostname},
                                        {"ranks", "1", &Row::ranks},
                                        {"clock_offset_s", "s", &Row::clock_offset_s},
                                        {"clock_error_s", "s", &Row::clock_error_s},
                                        {"cache_source", "", &Row::cache_source},
                                        {"t_cache_first", "s", &Row::t_cache_first},
                                        {"t_cache_last", "s", &Row::t_cache_last},
                                        {"wire_bytes", "bytes", &Row::wire_bytes},
                                        {"payload_bytes", "bytes", &Row::payload_bytes}}};
  return schema;
}

const TableSchema<PhaseRow>& phase_schema() {
  using Row = PhaseRow;
  static const TableSchema<Row> schema{
      "phases", {{"name", "", &Row::name}, {"t_begin", "s", &Row::t_begin}, {"t_end", "s", &Row::t_end}}};
  return schema;
}

const TableSchema<ErrorRow>& error_schema() {
  using Row = ErrorRow;
  static const TableSchema<Row> schema{
      "errors", {{"t", "s", &Row::t}, {"source", "", &Row::source}, {"text", "", &Row::text}}};
  return schema;
}

const TableSchema<RunAttributes>& attribute_schema() {
  using Row = RunAttributes;
  static const TableSchema<Row> schema{"",
                                       {{"program_version", "", &Row::program_version},
                                        {"command_line", "", &Row::command_line},
                                        {"start", "", &Row::start},
                                        {"job_id", "", &Row::job_id},
                                        {"mpi_library", "", &Row::mpi_library},
                                        {"qemu_version", "", &Row::qemu_version},
                                        {"libvirt_version", "", &Row::libvirt_version},
                                        {"backend", "", &Row::backend},
                                        {"accel", "", &Row::accel},
                                        {"machine", "", &Row::machine},
                                        {"cpu_model", "", &Row::cpu_model},
                                        {"driver", "", &Row::driver},
                                        {"cache_mode", "", &Row::cache_mode},
                                        {"placement", "", &Row::placement},
                                        {"ready", "", &Row::ready},
                                        {"vms", "1", &Row::vms},
                                        {"ranks", "1", &Row::ranks},
                                        {"nodes", "1", &Row::nodes},
                                        {"nodes_held", "1", &Row::nodes_held},
                                        {"cpus", "1", &Row::cpus},
                                        {"memory_bytes", "bytes", &Row::memory_bytes}}};
  return schema;
}

const TableSchema<RunEnd>& end_schema() {
  using Row = RunEnd;
  static const TableSchema<Row> schema{"",
                                       {{"outcome", "", &Row::outcome},
                                        {"exit_status", "1", &Row::exit_status},
                                        {"error", "", &Row::error},
                                        {"t_end", "s", &Row::t_end}}};
  return schema;
}

}  // namespace vmi
