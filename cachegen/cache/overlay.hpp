// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"

namespace vmi {

/// Every overlay has clusters of this size with extended_l2 (sub-clusters of 2 KiB), at profile and at launch
/// alike: what partial writes read below the overlay is then the same in both.
inline constexpr Bytes kOverlayCluster = 64 * KiB;

/// Makes an empty qcow2 for one VM's writes, without starting a process. It names no backing file: who opens
/// it gives the layer below as a block node. Throws Error(environment), also when `path` exists already.
void create_overlay(const fs::path& path, Bytes virtual_bytes);

}  // namespace vmi
