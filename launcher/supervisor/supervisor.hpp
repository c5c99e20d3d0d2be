// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/log.hpp"
#include "launcher/supervisor/ipc/channel.hpp"

namespace vmi {

/// The supervisor's process from its start to its end; returns its exit status. client.hpp starts it.
int supervisor_main(Channel rank, LogLevel threshold, const std::string& runtime_root);

}  // namespace vmi
