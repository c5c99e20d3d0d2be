// SPDX-License-Identifier: Apache-2.0
#include "cachegen/profile/profile.hpp"

#include "cachegen/guest/block_chain.hpp"
#include "cachegen/guest/cpu_check.hpp"
#include "cachegen/support/stale.hpp"

namespace vmi {

BootProfile profile_boot(const ProfileOptions& options, const ProfileProgress& progress) {
  BootProfile profile;
  remove_stale_folders(temp_root(), kProfileFolderPrefix);
  check_guest(options.guest);
  profile.qemu = probe_qemu(options.guest.qemu, Deadline::after(std::chrono::seconds(30)));
  warn_without_sandbox(profile.qemu);
  profile.accel = resolve_accel(options.guest.accel);
  GuestSpec guest = options.guest;
  guest.qemu = profile.qemu.path.string();
  guest.accel = profile.accel;
  check_cpu(guest, Deadline::after(std::chrono::seconds(60)));

  BootSpec spec{.guest = std::move(guest),
                .image = options.image,
                .driver_traces = resolve_driver(options.driver, profile.qemu, false) == Driver::vmicache,
                .sandbox = profile.qemu.has_sandbox,
                .ready = options.ready,
                .timeout = options.timeout,
                .settle = options.settle};

  std::vector<std::vector<TimedRead>> reads;
  for (int run = 0; run < options.runs; ++run) {
    BootProgress run_progress;
    if (progress) run_progress = [&](const BootStatus& status) { progress(run, status); };
    try {
      profile.runs.push_back(boot_once(spec, run_progress));
    } catch (const Error& error) {
      if (options.runs == 1) throw;
      throw error.in("profile run " + std::to_string(run + 1) + " of " + std::to_string(options.runs));
    }
    reads.push_back(profile.runs.back().base_reads);
  }
  profile.working_set = merge_runs(reads, options.granularity, options.image.virtual_bytes);
  return profile;
}

}  // namespace vmi
