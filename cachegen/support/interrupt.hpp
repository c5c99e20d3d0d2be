// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace vmi {

/// From now on the first SIGINT or SIGTERM is remembered instead of ending the program, so that what it holds
/// is cleaned up; a second one ends it at once. Called by a program's main, and by nothing that runs inside
/// MPI.
void catch_interrupts();

/// Throws Error(interrupted) or Error(terminated) when such a signal has come. Long loops and waits call it.
void throw_if_interrupted();

}  // namespace vmi
