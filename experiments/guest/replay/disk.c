/* SPDX-License-Identifier: Apache-2.0
 *
 * A virtio block device (virtio 1.1: 2.6 split virtqueues, 4.2 MMIO, 5.2 block) in one of microvm's slots. Three descriptors
 * a request: header, data, status. */
#include "disk.h"

#include "../trace_format.h"
#include "machine.h"

enum { QUEUE_SIZE = 128, PER_REQUEST = 3 };
_Static_assert(REPLAY_MOST_IN_FLIGHT <= QUEUE_SIZE / PER_REQUEST, "the queue must hold what traces may ask for");

static const uint32_t slots_at = 0xfeb00000;
static const uint32_t slot_bytes = 512;
static const uint32_t magic = 0x74726976; /* "virt" */

/* Registers, as indices of words. */
enum {
  MAGIC = 0x000 / 4,
  VERSION = 0x004 / 4,
  DEVICE_ID = 0x008 / 4,
  DEVICE_FEATURES = 0x010 / 4,
  DEVICE_FEATURES_SELECT = 0x014 / 4,
  DRIVER_FEATURES = 0x020 / 4,
  DRIVER_FEATURES_SELECT = 0x024 / 4,
  QUEUE_SELECT = 0x030 / 4,
  QUEUE_NUM_MAX = 0x034 / 4,
  QUEUE_NUM = 0x038 / 4,
  QUEUE_READY = 0x044 / 4,
  QUEUE_NOTIFY = 0x050 / 4,
  INTERRUPT_ACK = 0x064 / 4,
  STATUS = 0x070 / 4,
  QUEUE_DESCRIPTORS = 0x080 / 4,
  QUEUE_DRIVER = 0x090 / 4,
  QUEUE_DEVICE = 0x0a0 / 4,
};
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
enum { FEATURE_FLUSH = 1 << 9, FEATURE_VERSION_1 = 1 };
enum { NEXT = 1, DEVICE_WRITES = 2 };
enum { NO_INTERRUPT = 1 };

struct descriptor {
  uint64_t address;
  uint32_t bytes;
  uint16_t flags, next;
};
struct header {
  uint32_t type, reserved;
  uint64_t sector;
};

static struct descriptor descriptors[QUEUE_SIZE] __attribute__((aligned(16)));
static struct {
  uint16_t flags, index, ring[QUEUE_SIZE], event;
} available __attribute__((aligned(4)));
static struct {
  uint16_t flags;
  volatile uint16_t index;
  struct {
    uint32_t id, bytes;
  } ring[QUEUE_SIZE];
} used __attribute__((aligned(4)));

static struct {
  struct header header;
  uint32_t step;
  volatile uint8_t status;
} requests[QUEUE_SIZE / PER_REQUEST];
static uint16_t free_requests[QUEUE_SIZE / PER_REQUEST];
static uint32_t free_count;
static uint16_t used_seen;
static volatile uint32_t* disk;

/* 8 slots on the first IOAPIC's lines from 5 on without ACPI, 24 on the second's with it. */
static void find_disk(void) {
  const uint32_t word_per_slot = slot_bytes / 4;
  volatile uint32_t* const slots = (volatile uint32_t*)slots_at;
  const bool many = slots[8 * word_per_slot + MAGIC] == magic;
  for (uint32_t slot = 0; slot < (many ? 24 : 8); ++slot) {
    volatile uint32_t* const device = slots + slot * word_per_slot;
    if (device[MAGIC] != magic || device[DEVICE_ID] != 2) continue;
    if (device[VERSION] != 2) fail("the disk is a legacy device: -global virtio-mmio.force-legacy=false is missing");
    disk = device;
    interrupts_route(many ? slot : 5 + slot, many);
    return;
  }
  fail("there is no disk");
}

void disk_start(void) {
  find_disk();
  disk[STATUS] = 0;
  disk[STATUS] = ACKNOWLEDGE | DRIVER;
  /* Flushes are offered so that QEMU does not make each write wait for one. */
  disk[DEVICE_FEATURES_SELECT] = 0;
  disk[DRIVER_FEATURES_SELECT] = 0;
  disk[DRIVER_FEATURES] = disk[DEVICE_FEATURES] & FEATURE_FLUSH;
  disk[DRIVER_FEATURES_SELECT] = 1;
  disk[DRIVER_FEATURES] = FEATURE_VERSION_1;
  disk[STATUS] = ACKNOWLEDGE | DRIVER | FEATURES_OK;
  if (!(disk[STATUS] & FEATURES_OK)) fail("the disk refuses its features");

  disk[QUEUE_SELECT] = 0;
  if (disk[QUEUE_NUM_MAX] < QUEUE_SIZE) fail("the disk's queue is too short");
  disk[QUEUE_NUM] = QUEUE_SIZE;
  disk[QUEUE_DESCRIPTORS] = (uint32_t)descriptors;
  disk[QUEUE_DESCRIPTORS + 1] = 0;
  disk[QUEUE_DRIVER] = (uint32_t)&available;
  disk[QUEUE_DRIVER + 1] = 0;
  disk[QUEUE_DEVICE] = (uint32_t)&used;
  disk[QUEUE_DEVICE + 1] = 0;
  disk[QUEUE_READY] = 1;
  disk[STATUS] = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;

  disk_interrupts(false);
  for (uint16_t i = QUEUE_SIZE / PER_REQUEST; i > 0; --i) free_requests[free_count++] = i - 1;
}

void disk_submit(uint32_t step, uint32_t sector, void* data, uint32_t bytes, bool write) {
  const uint16_t number = free_requests[--free_count];
  const uint16_t first = number * PER_REQUEST;
  requests[number].header = (struct header){.type = write, .sector = sector};
  requests[number].step = step;
  requests[number].status = 0xff;
  descriptors[first] =
      (struct descriptor){(uint32_t)&requests[number].header, sizeof(struct header), NEXT, first + 1};
  descriptors[first + 1] = (struct descriptor){(uint32_t)data, bytes, write ? NEXT : NEXT | DEVICE_WRITES, first + 2};
  descriptors[first + 2] = (struct descriptor){(uint32_t)&requests[number].status, 1, DEVICE_WRITES, 0};
  available.ring[available.index % QUEUE_SIZE] = first;
  __asm__ volatile("" ::: "memory"); /* x86 stores in order; the compiler must too */
  *(volatile uint16_t*)&available.index += 1;
  __asm__ volatile("" ::: "memory");
  disk[QUEUE_NOTIFY] = 0;
}

bool disk_completed(uint32_t* step) {
  if (used_seen == used.index) return false;
  __asm__ volatile("" ::: "memory");
  const uint16_t number = (uint16_t)(used.ring[used_seen % QUEUE_SIZE].id / PER_REQUEST);
  ++used_seen;
  if (requests[number].status != 0) fail("the disk failed a request");
  free_requests[free_count++] = number;
  *step = requests[number].step;
  return true;
}

/* Most requests are answered before their submission returns; an interrupt for each would cost the emulator more than they do. */
void disk_interrupts(bool on) {
  /* The line is edge-triggered: what was not acknowledged raises it no more. */
  if (on) disk[INTERRUPT_ACK] = 1;
  *(volatile uint16_t*)&available.flags = on ? 0 : NO_INTERRUPT;
  /* What has ended is looked at after this store, or the disk might see the one and the guest the other too late. */
  __asm__ volatile("lock; addl $0, (%%esp)" ::: "memory", "cc");
}

bool disk_in_flight(void) {
  return free_count < QUEUE_SIZE / PER_REQUEST;
}
