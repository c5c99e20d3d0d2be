// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/interrupt.hpp"

#include "cachegen/support/error.hpp"

#include <csignal>

namespace vmi {
namespace {

volatile std::sig_atomic_t caught = 0;

void remember(int number) {
  caught = number;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // no SA_RESTART: waits return and look
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void throw_if_interrupted() {
  if (caught == SIGINT) throw Error(ExitStatus::interrupted, "interrupted");
  if (caught == SIGTERM) throw Error(ExitStatus::terminated, "terminated");
}

}  // namespace vmi
