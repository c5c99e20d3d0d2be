// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace vmi {

/// Notes SIGINT and SIGTERM instead of dying of them; SIGPIPE is ignored. A wait's pump asks
/// pending_signal().
void catch_signals();

/// The first of SIGINT and SIGTERM that came since catch_signals(), or 0.
int pending_signal();

}  // namespace vmi
