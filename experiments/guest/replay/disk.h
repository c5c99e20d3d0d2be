/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMI_REPLAY_DISK_H
#define VMI_REPLAY_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* Finds the disk and makes it ready. */
void disk_start(void);
/* At most REPLAY_MOST_IN_FLIGHT at one time. `data` must stay until the request is completed; `step` is the caller's own. */
void disk_submit(uint32_t step, uint32_t sector, void* data, uint32_t bytes, bool write);
/* The next request that has ended; false: none yet. One that failed ends the guest. */
bool disk_completed(uint32_t* step);
/* Whether the disk interrupts when a request ends; at first it does not. What has ended before this call may not have: ask
 * disk_completed() behind it. Acknowledges the last interrupt, so call it after each. */
void disk_interrupts(bool on);
bool disk_in_flight(void);

#endif
