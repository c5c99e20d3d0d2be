// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/session.hpp"

namespace vmi::test {

/// The one MPI session of a test program; every rank runs the same test cases in the same order.
Session& session();

/// A waiter that no test should exhaust, pumping the control channel of nobody.
Waiter waiter();

/// A communicator that no test gives up a wait on.
const Comm& aftermath();

/// A communicator of this test alone, so that a failed test does not confuse the next. Collective.
Comm fresh_comm();

}  // namespace vmi::test
