/* SPDX-License-Identifier: Apache-2.0
 *
 * The checksum of what a trace's reads returned. Each read has one of its own (the sums of Fletcher's kind of all its words,
 * mixed with the step's number), and the trace's is their sum, so that the order of completion does not matter.
 * Shared by the guest and replay-trace.
 *
 * SSE2 makes the full check cheap where QEMU translates code (it uses the host's vectors). A KVM that emulates guests
 * instruction by instruction knows neither SSE2 nor haste: the sampled check takes one word of each sector, without SSE2. */
#ifndef VMI_REPLAY_CHECKSUM_H
#define VMI_REPLAY_CHECKSUM_H

#include "trace_format.h"

typedef uint64_t replay_half __attribute__((aligned(4), may_alias));
typedef uint32_t replay_words __attribute__((vector_size(16), aligned(4), may_alias));

struct replay_checksum {
  uint32_t high, low;
};

static inline uint32_t replay_mix(uint32_t hash, uint32_t word) {
  hash = (hash ^ word) * 0xcc9e2d51u;
  hash = (hash << 13) | (hash >> 19);
  return hash * 5u + 0xe6546b64u;
}

static inline void replay_add_sums(struct replay_checksum* total, uint32_t step, uint32_t bytes, const uint32_t* sums,
                                   uint32_t count) {
  uint32_t high = replay_mix(0x9747b28cu, step), low = replay_mix(0x3c6ef372u, step ^ bytes);
  for (uint32_t i = 0; i < count; ++i) {
    high = replay_mix(high, sums[i]);
    low = replay_mix(low, sums[count - 1 - i]);
  }
  total->high += high;
  total->low += low;
}

/* Four words, in two halves: QEMU keeps registers in memory, and of a load of all four stores the halves and then reads the whole,
 * which waits until the processor has written both. */
__attribute__((target("sse2"))) static inline replay_words replay_load(const replay_words* from) {
#ifdef __i386__
  const replay_half* const half = (const replay_half*)from;
  replay_words words;
  __asm__ volatile("movq %1, %0; movhps %2, %0" : "=&x"(words) : "m"(half[0]), "m"(half[1]));
  return words;
#else
  return *from;
#endif
}

/* Every byte of the read. What is loaded is used as late as eight registers allow. */
__attribute__((target("sse2"))) static inline void replay_add_full(struct replay_checksum* total, uint32_t step,
                                                                   const void* data, uint32_t bytes) {
  const replay_words* words = (const replay_words*)data;
  const replay_words* const end = words + bytes / sizeof *words;
  replay_words first = {0, 0, 0, 0}, second = {0, 0, 0, 0};
  for (; words != end; words += 4) {
    const replay_words a = replay_load(words), b = replay_load(words + 1), c = replay_load(words + 2), d = replay_load(words + 3);
    first += a;
    first += b;
    first += c;
    first += d;
    second += first;
  }
  const uint32_t sums[8] = {first[0], first[1], first[2], first[3], second[0], second[1], second[2], second[3]};
  replay_add_sums(total, step, bytes, sums, 8);
}

/* One word of each sector, from another place in each. */
static inline void replay_add_sample(struct replay_checksum* total, uint32_t step, const void* data, uint32_t bytes) {
  const unsigned char* at = (const unsigned char*)data;
  uint32_t sums[2] = {0, 0};
  for (uint32_t sector = 0; sector < bytes / REPLAY_SECTOR; ++sector) {
    const unsigned char* word = at + sector * REPLAY_SECTOR + (step + sector) % 128 * 4;
    sums[0] += word[0] | (uint32_t)word[1] << 8 | (uint32_t)word[2] << 16 | (uint32_t)word[3] << 24;
    sums[1] += sums[0];
  }
  replay_add_sums(total, step, bytes, sums, 2);
}

#endif
