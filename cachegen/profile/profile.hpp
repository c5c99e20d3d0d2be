// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/profile/boot.hpp"

#include <functional>
#include <vector>

namespace vmi {

/// How long a trace goes on after readiness unless said otherwise. A Debian guest on a loaded machine under
/// TCG read nothing more once its login prompt or its ssh banner was there; after its guest agent answered,
/// which is early in the boot, it read another 7 of 68 MiB, all but 0.1 within 5 s.
inline constexpr std::chrono::milliseconds kDefaultSettle{5'000};
inline constexpr Bytes kDefaultGranularity = 4 * KiB;

struct ProfileOptions {
  ImageInfo image;
  GuestSpec guest;  ///< accel may be automatic
  ReadySpec ready;
  std::chrono::milliseconds timeout{300'000};  ///< per boot
  std::chrono::milliseconds settle = kDefaultSettle;
  int runs = 1;
  Bytes granularity = kDefaultGranularity;
  /// Who tells what is read below the overlay. automatic: the driver vmicache where QEMU has it, else QEMU's
  /// own trace of its block layer, as for any other driver.
  Driver driver = Driver::automatic;
};

struct BootProfile {
  std::vector<BootRun> runs;
  WorkingSet working_set;
  Accel accel = Accel::tcg;  ///< what was used
  QemuFacts qemu;
};

/// `run` counts from 0. Called several times a second; may throw to end the profile, which leaves nothing
/// behind.
using ProfileProgress = std::function<void(int run, const BootStatus& status)>;

/// Boots the image `runs` times, one after the other, and merges what the boots read. Errors as boot_once().
BootProfile profile_boot(const ProfileOptions& options, const ProfileProgress& progress = {});

}  // namespace vmi
