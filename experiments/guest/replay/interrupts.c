/* SPDX-License-Identifier: Apache-2.0
 *
 * Intel SDM volume 3, chapter 11 (local APIC); 82093AA data sheet (IOAPIC). */
#include "machine.h"

#define LAPIC ((volatile uint32_t*)0xfee00000)
#define IOAPIC_FIRST ((volatile uint32_t*)0xfec00000)
#define IOAPIC_SECOND ((volatile uint32_t*)0xfec10000)

enum { TIMER_VECTOR = 0x40, DEVICE_VECTOR = 0x41, SPURIOUS_VECTOR = 0xff };

extern uint32_t idt[256][2];
void on_timer(void);
void on_device(void);
void on_spurious(void);

static void set_handler(uint32_t vector, void (*handler)(void)) {
  const uint32_t address = (uint32_t)handler;
  idt[vector][0] = 8u << 16 | (address & 0xffff);
  idt[vector][1] = (address & 0xffff0000) | 0x8e00; /* present, 32-bit interrupt gate */
}

void interrupts_start(void) {
  set_handler(TIMER_VECTOR, on_timer);
  set_handler(DEVICE_VECTOR, on_device);
  set_handler(SPURIOUS_VECTOR, on_spurious);
  __asm__ volatile("outb %b0, $0x21; outb %b0, $0xa1" ::"a"(0xff)); /* the PICs would raise vectors of exceptions */
  LAPIC[0xf0 / 4] = 0x100 | SPURIOUS_VECTOR;
  LAPIC[0x320 / 4] = TIMER_VECTOR; /* one shot */
}

void interrupts_route(uint32_t line, bool second_ioapic) {
  volatile uint32_t* const ioapic = second_ioapic ? IOAPIC_SECOND : IOAPIC_FIRST;
  ioapic[0] = 0x11 + 2 * line;
  ioapic[4] = 0; /* to processor 0 */
  ioapic[0] = 0x10 + 2 * line;
  ioapic[4] = DEVICE_VECTOR;
}
