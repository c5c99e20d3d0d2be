/*
 * What the boot cache filter has learnt about which layer holds which bytes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMICACHE_KNOWLEDGE_H
#define VMICACHE_KNOWLEDGE_H

#include "block/block_int.h"
#include "qemu/stats64.h"

/* Facts about one unit of the disk. */
enum {
    VMICACHE_CACHED = 1,        /* the cache layer itself holds it */
    VMICACHE_UNCACHED = 2,      /* it did not when it was asked */
    VMICACHE_ZERO = 4,          /* all of it reads as zeroes in the base */
    VMICACHE_DATA = 8,          /* not all of it does, or nobody knows */
    VMICACHE_UNREADABLE = 16,   /* the cache cannot say: use the base */
    VMICACHE_NOTED = 32,        /* that it is zero is in the cache, or in the queue */
};

typedef struct VmicacheKnowledge VmicacheKnowledge;

/* A disk of @length bytes in units of @unit bytes, a power of two. */
VmicacheKnowledge *vmicache_knowledge_new(int64_t length, int64_t unit);
void vmicache_knowledge_free(VmicacheKnowledge *k);

/*
 * Asks the qcow2 node @cache, which nobody but the filter will write to, for all
 * that it holds: it will not be asked again. Errors as below.
 */
void vmicache_survey(VmicacheKnowledge *k, BlockDriverState *cache,
                     Stat64 *errors);

/*
 * Asks @cache, and the base below it, until all units of [offset, end) are
 * known. Failures of the cache's metadata are added to @errors.
 */
void coroutine_fn vmicache_learn(VmicacheKnowledge *k, BlockDriverState *cache,
                                 int64_t offset, int64_t end, Stat64 *errors);

/* The facts about the unit that holds @offset; 0 when nothing is known. */
unsigned vmicache_facts(const VmicacheKnowledge *k, int64_t offset);

/* Whether all of [offset, end) is known to be in the cache. */
bool vmicache_all_cached(const VmicacheKnowledge *k, int64_t offset,
                         int64_t end);

/* All of [offset, offset + bytes), whole units, is in the cache from now on. */
void vmicache_now_cached(VmicacheKnowledge *k, int64_t offset, int64_t bytes);

/* All of [offset, offset + bytes), whole units, is noted in the cache as zero. */
void vmicache_now_noted(VmicacheKnowledge *k, int64_t offset, int64_t bytes);

/* Where the unit that holds @offset begins. */
int64_t vmicache_unit_start(const VmicacheKnowledge *k, int64_t offset);

/* Where the unit that holds @offset ends; the last one ends with the disk. */
int64_t vmicache_unit_end(const VmicacheKnowledge *k, int64_t offset);

#endif
