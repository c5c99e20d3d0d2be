// SPDX-License-Identifier: Apache-2.0
#include "cachegen/profile/trace_file.hpp"

#include "cachegen/hdf5/table.hpp"

namespace vmi {

std::vector<BootTraceRow> boot_trace_rows(const BootProfile& profile, const std::string& image_url) {
  constexpr double kMicro = 1e-6;
  std::vector<BootTraceRow> rows;
  for (std::size_t run = 0; run < profile.runs.size(); ++run) {
    for (const GuestRequest& request : profile.runs[run].requests) {
      BootTraceRow row{.run = static_cast<std::int64_t>(run),
                       .image = image_url,
                       .t_submit = static_cast<double>(request.submit_us) * kMicro,
                       .op = request.op == GuestRequest::Op::read ? "read" : "write",
                       .offset = static_cast<std::int64_t>(request.offset),
                       .bytes = static_cast<std::int64_t>(request.bytes)};
      if (request.complete_us != GuestRequest::kUnderWay)
        row.t_complete = static_cast<double>(request.complete_us) * kMicro;
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

void write_boot_trace(const fs::path& path, const BootProfile& profile, const std::string& image_url) {
  h5::File file = h5::File::create();
  file.set_attribute("schema_version", std::int64_t{1});
  file.set_attribute("program", std::string("vmicache " VMI_VERSION));
  file.set_attribute("qemu_version", profile.qemu.version);
  file.set_attribute("accel", to_text(profile.accel));
  const std::vector<BootTraceRow> rows = boot_trace_rows(profile, image_url);
  h5::write_table(file, boot_trace_schema(), std::span<const BootTraceRow>(rows));
  std::vector<BootRunRow> runs;
  for (const BootRun& run : profile.runs)
    runs.push_back({.run = static_cast<std::int64_t>(runs.size()), .t_ready = run.ready.count()});
  h5::write_table(file, boot_run_schema(), std::span<const BootRunRow>(runs));
  file.save(path);
}

std::vector<BootTraceRow> read_boot_trace(const fs::path& path) {
  return h5::read_table(h5::File::open(path), boot_trace_schema());
}

std::vector<BootRunRow> read_boot_runs(const fs::path& path) {
  return h5::read_table(h5::File::open(path), boot_run_schema());
}

}  // namespace vmi
