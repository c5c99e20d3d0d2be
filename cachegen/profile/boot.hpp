// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/cache/image.hpp"
#include "cachegen/guest/guest.hpp"
#include "cachegen/guest/qemu_command.hpp"
#include "cachegen/guest/ready.hpp"
#include "cachegen/profile/boot_trace.hpp"
#include "cachegen/profile/working_set.hpp"

#include <functional>
#include <string>
#include <vector>

namespace vmi {

/// A boot's folder below ${TMPDIR:-/tmp}. What a killed process left is cleared by the next profile.
inline constexpr std::string_view kProfileFolderPrefix = "vmicache-profile-";

struct BootSpec {
  GuestSpec guest;  ///< accel resolved; the network that `ready` needs is added
  ImageInfo image;
  fs::path cache;  ///< boot through this cache, read-only: what reaches the base is then what the cache
                   ///< misses; empty: none
  bool driver_traces =
      false;            ///< QEMU has the block driver vmicache: it tells what was read below the overlay
  bool sandbox = true;  ///< QemuFacts::has_sandbox
  ReadySpec ready;
  std::chrono::milliseconds timeout{300'000};  ///< from QEMU's start to readiness
  std::chrono::milliseconds settle{0};         ///< how long the trace goes on after readiness
};

/// One boot, all times in microseconds since the guest started.
struct BootRun {
  std::vector<TimedRead> base_reads;
  std::vector<GuestRequest> requests;
  Seconds ready{0};
};

struct BootStatus {
  enum class Stage { starting, booting, settling } stage = Stage::starting;
  Seconds elapsed{0};    ///< in this boot
  Bytes base_bytes = 0;  ///< read below the overlay so far, repeats counted
  std::string console;   ///< last line of the serial console
};
/// Called several times a second; may throw to end the boot, which then leaves nothing behind.
using BootProgress = std::function<void(const BootStatus&)>;

/// Boots the image in a throw-away overlay and traces what it reads. Throws
///   Error(timed_out)    never ready in time; with the end of the console
///   Error(vm_failed)    the guest ended or panicked before it was ready; with the end of the console
///   Error(environment)  QEMU did not start or died, with what it printed; no space for the overlay
///   Error(unusable)     the image cannot be read
BootRun boot_once(const BootSpec& spec, const BootProgress& progress);

}  // namespace vmi
