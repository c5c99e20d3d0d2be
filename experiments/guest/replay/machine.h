/* SPDX-License-Identifier: Apache-2.0
 *
 * The few devices of QEMU's microvm that the replay guest uses besides its disk, and its interrupts. */
#ifndef VMI_REPLAY_MACHINE_H
#define VMI_REPLAY_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

/* What a word of this guest's kernel arguments says; the numbers are in 1/65536. */
struct arguments {
  uint32_t think;  /* think=FACTOR: recorded think times are multiplied by it; 1 unless given */
  bool sample;     /* check=sample: one word of each sector instead of all bytes */
  bool barrier;    /* barrier: says ARMED and waits for a byte on the serial port */
};

/* start.S */
extern volatile uint32_t timer_fired;
void wait_for_interrupt(void);
__attribute__((noreturn)) void halt(void);

/* Local APIC on, PICs off. Before everything else here. */
void interrupts_start(void);
/* The second IOAPIC has the 24 lines of a microvm with ACPI, the first those of one without. Edge-triggered; wakes
 * wait_for_interrupt(). */
void interrupts_route(uint32_t line, bool second_ioapic);

void serial_start(void);
void serial_text(const char* text);
void serial_number(uint32_t number);
void serial_hex(uint32_t number);
/* Halts until a byte arrives. */
void serial_wait(void);

/* Time in processor cycles; QEMU counts them from when the guest began to run. */
uint64_t now(void);
void clock_start(void);
uint64_t cycles_of_us(uint32_t us);
/* Halts until so many cycles have passed; calls `woken` after each interrupt of another device meanwhile. */
void clock_sleep(uint64_t cycles, void (*woken)(void));

/* Says why on the serial port, and halts. */
__attribute__((noreturn)) void fail(const char* reason);

#endif
