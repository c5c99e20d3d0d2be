/* SPDX-License-Identifier: Apache-2.0
 *
 * The replay guest: makes the disk requests of a recorded boot, in their order and with the recorded pauses, and then says
 * that it is ready, with a checksum of what it read. It takes the time of a boot and its I/O, and next to no CPU time.
 *
 * Pauses are kept as a debt: what is shorter than 5 ms is only noted, and slept when enough is owed; what a sleep took too
 * long, and what checksums cost, is taken off. So short pauses cost no wake-up, and the sum is right. */
#include "../checksum.h"
#include "../trace_format.h"
#include "disk.h"
#include "machine.h"

/* Multiboot 0.6.96, section 3.3; QEMU loads -initrd as the one module. */
struct multiboot_information {
  uint32_t flags, mem_lower_kib, mem_upper_kib, boot_device;
  const char* command_line;
  uint32_t module_count;
  const struct {
    uint32_t start, end;
    const char* text;
    uint32_t reserved;
  } * modules;
};

static const uint32_t shortest_sleep_us = 5000;

static struct arguments arguments = {.think = 1 << 16};
static const struct replay_header* header;
static const struct replay_step* steps;

static uint64_t* done_at; /* per step, 0: under way or still to come */
static char* buffers;
static struct replay_checksum checksum;
static uint32_t reads, writes;
static uint32_t read_kib_and_rest[2]; /* no 64-bit division here */

/* "0.25" in 1/65536. */
static uint32_t parse_factor(const char* text) {
  uint32_t whole = 0, part = 0, scale = 1;
  for (; *text >= '0' && *text <= '9'; ++text) whole = whole * 10 + (uint32_t)(*text - '0');
  if (*text == '.') {
    for (++text; *text >= '0' && *text <= '9' && scale < 10000; ++text) {
      part = part * 10 + (uint32_t)(*text - '0');
      scale *= 10;
    }
  }
  if (whole > 1000) fail("think= is more than 1000");
  return (whole << 16) + (part << 16) / scale;
}

static const char* after_prefix(const char* text, const char* prefix) {
  while (*prefix && *text == *prefix) ++text, ++prefix;
  return *prefix ? 0 : text;
}

/* Words that it does not know are somebody else's. */
static void parse_arguments(const char* text) {
  while (*text) {
    const char* value;
    if ((value = after_prefix(text, "think="))) arguments.think = parse_factor(value);
    if (after_prefix(text, "check=sample")) arguments.sample = true;
    if (after_prefix(text, "barrier")) arguments.barrier = true;
    while (*text && *text != ' ') ++text;
    while (*text == ' ') ++text;
  }
}

/* Memory behind the module, in turn. */
static void* take(uint32_t* at, uint32_t bytes, uint32_t end) {
  void* const result = (void*)*at;
  if (bytes > end - *at) fail("there is too little memory for this trace");
  *at += (bytes + 63) & ~63u;
  return result;
}

static void load(const struct multiboot_information* information) {
  if (information->module_count == 0) fail("there is no trace: give one as -initrd");
  const uint32_t start = information->modules[0].start, end = information->modules[0].end;
  header = (const struct replay_header*)start;
  steps = (const struct replay_step*)(header + 1);
  if (end - start < sizeof *header || header->magic != REPLAY_MAGIC || header->version != REPLAY_VERSION ||
      (end - start - sizeof *header) / sizeof *steps < header->steps) {
    fail("the module is no trace of this version");
  }
  uint32_t at = (end + 4095) & ~4095u;
  const uint32_t memory_end = (information->mem_upper_kib + 1024) * 1024;
  if (at > memory_end) fail("there is too little memory for this trace");
  done_at = take(&at, header->steps * sizeof *done_at, memory_end);
  for (uint32_t i = 0; i < header->steps; ++i) done_at[i] = 0;
  buffers = take(&at, header->buffer_bytes, memory_end);
}

static void finish(uint32_t number) {
  const struct replay_step* const step = &steps[number];
  done_at[number] = now();
  if (step->write) {
    ++writes;
    return;
  }
  ++reads;
  read_kib_and_rest[1] += step->bytes;
  read_kib_and_rest[0] += read_kib_and_rest[1] / 1024;
  read_kib_and_rest[1] %= 1024;
  if (arguments.sample) {
    replay_add_sample(&checksum, number, buffers + step->buffer, step->bytes);
  } else {
    replay_add_full(&checksum, number, buffers + step->buffer, step->bytes);
  }
}

static void finish_all(void) {
  uint32_t number;
  while (disk_completed(&number)) finish(number);
}

static void acknowledge_and_finish_all(void) {
  disk_interrupts(true);
  finish_all();
}

static void fill_pattern(void* data, const struct replay_step* step, uint32_t number) {
  for (uint32_t sector = 0; sector < step->bytes / REPLAY_SECTOR; ++sector) {
    uint32_t count = REPLAY_SECTOR / 4;
    __asm__ volatile("rep stosl"
                     : "+D"(data), "+c"(count)
                     : "a"(replay_pattern(step->sector + sector, number))
                     : "memory");
  }
}

static void submit(uint32_t number) {
  const struct replay_step* const step = &steps[number];
  void* const data = buffers + step->buffer;
  if (step->write) fill_pattern(data, step, number);
  disk_submit(number, step->sector, data, step->bytes, step->write != 0);
}

static void wait_for_step(uint32_t number) {
  disk_interrupts(true);
  for (finish_all(); !done_at[number]; acknowledge_and_finish_all()) wait_for_interrupt();
  disk_interrupts(false);
}

/* Sleeps, and takes what ends meanwhile when it ends. */
static void sleep_beside_requests(uint64_t cycles) {
  if (!disk_in_flight()) {
    clock_sleep(cycles, 0);
    return;
  }
  disk_interrupts(true);
  finish_all();
  clock_sleep(cycles, acknowledge_and_finish_all);
  disk_interrupts(false);
}

/* Waits for the first `after` steps; returns when the last of them had ended, or `earliest` if that is later. */
static uint64_t wait_for_steps(uint32_t after, uint64_t earliest) {
  static uint32_t seen;
  static uint64_t latest;
  finish_all();
  for (; seen < after; ++seen) {
    if (!done_at[seen]) wait_for_step(seen);
    if (done_at[seen] > latest) latest = done_at[seen];
  }
  return latest > earliest ? latest : earliest;
}

static uint64_t scaled(uint32_t think_us) {
  return ((cycles_of_us(think_us) >> 8) * arguments.think) >> 8;
}

static void replay_steps(uint64_t begin) {
  const int64_t enough = (int64_t)cycles_of_us(shortest_sleep_us);
  int64_t owed = 0;
  uint64_t submitted = begin;
  for (uint32_t i = 0; i <= header->steps; ++i) {
    const bool last = i == header->steps;
    const uint64_t from = wait_for_steps(last ? i : steps[i].after, submitted);
    owed += (int64_t)(from + scaled(last ? header->tail_us : steps[i].think_us) - now());
    if (i == 0 && owed < 0) owed = 0; /* what came before this guest took longer than before the recorded one */
    if (owed > (last ? 0 : enough)) {
      const uint64_t before = now();
      sleep_beside_requests((uint64_t)owed);
      owed -= (int64_t)(now() - before);
    }
    if (last) return;
    submit(i);
    submitted = now();
  }
}

static void say_ready(void) {
  serial_text("REPLAY-DONE reads=");
  serial_number(reads);
  serial_text(" writes=");
  serial_number(writes);
  serial_text(" kib=");
  serial_number(read_kib_and_rest[0]);
  serial_text(arguments.sample ? " sample=" : " full=");
  serial_hex(checksum.high);
  serial_hex(checksum.low);
  serial_text("\r\n");
}

__attribute__((noreturn)) void replay(const struct multiboot_information* information) {
  interrupts_start();
  serial_start();
  parse_arguments(information->command_line);
  load(information);
  clock_start();
  disk_start();
  uint64_t begin = 0; /* the guest's start */
  if (arguments.barrier) {
    serial_text("ARMED\r\n");
    serial_wait();
    begin = now();
  }
  replay_steps(begin);
  say_ready();
  halt();
}
