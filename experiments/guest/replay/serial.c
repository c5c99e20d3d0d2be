/* SPDX-License-Identifier: Apache-2.0
 *
 * The first serial port, a 16550A. QEMU's takes bytes as fast as they are written. */
#include "machine.h"

static const uint16_t port = 0x3f8;
static const uint32_t isa_line = 4;

static void out(uint16_t at, uint8_t value) {
  __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(at));
}

static uint8_t in(uint16_t at) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(at));
  return value;
}

void serial_start(void) {
  out(port + 4, 0x0b); /* ready, interrupts to the line */
  out(port + 1, 0x01); /* interrupt when a byte is there */
  interrupts_route(isa_line, false);
}

void serial_text(const char* text) {
  for (; *text; ++text) out(port, (uint8_t)*text);
}

void serial_number(uint32_t number) {
  if (number >= 10) serial_number(number / 10);
  out(port, (uint8_t)('0' + number % 10));
}

void serial_hex(uint32_t number) {
  for (int shift = 28; shift >= 0; shift -= 4) out(port, (uint8_t)"0123456789abcdef"[number >> shift & 15]);
}

void serial_wait(void) {
  while (!(in(port + 5) & 1)) wait_for_interrupt();
  in(port);
}

void fail(const char* reason) {
  serial_text("REPLAY-FAILED ");
  serial_text(reason);
  serial_text("\r\n");
  halt();
}
