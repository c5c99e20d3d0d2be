/* SPDX-License-Identifier: Apache-2.0
 *
 * A boot trace as the replay guest reads it, little endian: one header, then its steps in the order of their submission.
 * Shared by the guest (C, 32 bits, freestanding) and replay-trace, which writes it. */
#ifndef VMI_REPLAY_TRACE_FORMAT_H
#define VMI_REPLAY_TRACE_FORMAT_H

#include <stdint.h>

#define REPLAY_MAGIC 0x52494d56u /* "VMIR" */
#define REPLAY_VERSION 1u
#define REPLAY_SECTOR 512u
/* Requests that the guest's queue has room for. */
#define REPLAY_MOST_IN_FLIGHT 40u

struct replay_header {
  uint32_t magic;
  uint32_t version;
  uint32_t steps;
  uint32_t buffer_bytes; /* what the steps' buffers take together */
  uint32_t tail_us;      /* from the last step's submission or completion to readiness */
};

/* Submitted `think_us` after the later of: the submission of the step before it, the completion of the last of the first
 * `after` steps. (For the first one: after the guest's start.) */
struct replay_step {
  uint32_t sector;
  uint32_t bytes; /* a multiple of REPLAY_SECTOR */
  uint32_t write; /* 0: read; 1: write replay_pattern() */
  uint32_t after; /* so many steps from the first one on must be complete; REPLAY_MOST_IN_FLIGHT before this one at most */
  uint32_t think_us;
  uint32_t buffer; /* where its data lie, a multiple of 64; nothing that may be under way with it lies there */
};

/* Each 32-bit word of a sector that step number `step` writes. */
static inline uint32_t replay_pattern(uint32_t sector, uint32_t step) {
  return (sector * 2654435761u) ^ (step * 2246822519u) ^ 0x5bd1e995u;
}

#endif
