/* SPDX-License-Identifier: Apache-2.0
 *
 * The clock is the time stamp counter, whose rate is measured once against the local APIC's timer; that counts nanoseconds
 * under QEMU and KVM alike (divided by 1). Sleeps end by that timer. */
#include "machine.h"

#define LAPIC ((volatile uint32_t*)0xfee00000)
#define INITIAL_COUNT (0x380 / 4)
#define CURRENT_COUNT (0x390 / 4)

static const uint32_t calibration_ns = 2000000;
static const uint32_t longest_sleep_ns = 2000000000;

static uint32_t cycles_per_us; /* in 1/256 */
static uint32_t ns_per_cycle;  /* in 1/2^20 */

uint64_t now(void) {
  uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (uint64_t)high << 32 | low;
}

/* The quotient must fit. (There is no 32-bit libgcc to divide for us.) */
static uint32_t divide(uint64_t dividend, uint32_t divisor) {
  uint32_t quotient, rest;
  __asm__("divl %4"
          : "=a"(quotient), "=d"(rest)
          : "0"((uint32_t)dividend), "1"((uint32_t)(dividend >> 32)), "rm"(divisor));
  return quotient;
}

/* The timer's count and the cycles at one moment. Of several readings the quickest counts: between the two the host may
 * have given the processor to somebody else. */
static uint32_t read_both(uint64_t* cycles) {
  uint32_t count = 0;
  uint64_t quickest = ~0ull;
  *cycles = 0;
  for (int i = 0; i < 8; ++i) {
    const uint64_t before = now();
    const uint32_t counted = LAPIC[CURRENT_COUNT];
    const uint64_t took = now() - before;
    if (took >= quickest) continue;
    quickest = took;
    count = counted;
    *cycles = before + took / 2;
  }
  return count;
}

void clock_start(void) {
  LAPIC[0x3e0 / 4] = 0xb; /* divide by 1 */
  uint64_t first = 0, last = 0;
  uint32_t ns;
  do {
    LAPIC[INITIAL_COUNT] = 0xffffffff;
    const uint32_t first_count = read_both(&first);
    while (first_count - LAPIC[CURRENT_COUNT] < calibration_ns) {
    }
    ns = first_count - read_both(&last);
  } while (last - first > 1u << 31); /* held up so long that the quotients below would not fit */
  LAPIC[INITIAL_COUNT] = 0;
  const uint32_t cycles = (uint32_t)(last - first);
  cycles_per_us = divide((uint64_t)cycles * 256000, ns);
  ns_per_cycle = divide((uint64_t)ns << 20, cycles);
}

uint64_t cycles_of_us(uint32_t us) {
  return ((uint64_t)us * cycles_per_us) >> 8;
}

void clock_sleep(uint64_t cycles, void (*woken)(void)) {
  const uint64_t end = now() + cycles;
  for (uint64_t at = now(); at < end; at = now()) {
    uint64_t left = end - at;
    const uint64_t longest = ((uint64_t)(longest_sleep_ns / 1000) * cycles_per_us) >> 8;
    if (left > longest) left = longest;
    const uint32_t ns = (uint32_t)((left * ns_per_cycle) >> 20);
    if (ns == 0) return;
    timer_fired = 0;
    LAPIC[INITIAL_COUNT] = ns;
    while (!timer_fired) {
      wait_for_interrupt();
      if (woken) woken();
    }
  }
}
