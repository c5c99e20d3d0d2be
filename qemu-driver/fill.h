/*
 * The write-behind queue of the boot cache filter
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMICACHE_FILL_H
#define VMICACHE_FILL_H

#include "block/block_int.h"
#include "qapi/qapi-types-block-core.h"
#include "qemu/stats64.h"
#include "knowledge.h"

/*
 * Bytes of the base on their way to the cache: whole fill units, but for the
 * disk's end.
 */
typedef struct VmicacheFill {
    int64_t offset;     /* constant */
    int64_t bytes;      /* constant */
    uint8_t *buf;       /* [have_start, have_end) is valid, or all when complete */
    int64_t have_start, have_end;
    bool complete;      /* all of @buf that the cache and zeroes do not cover */
    bool failed;        /* the base could not be read; waiters read for themselves */
    bool zero;          /* notes that all of it is zero: no buffer, not in @fills */
    int64_t written;    /* the writer has done [offset, written) */
    int refs;           /* the queue's, and one for each reader that waits */
    CoQueue waiters;    /* readers of bytes that are not there yet */
    QTAILQ_ENTRY(VmicacheFill) ready_next;
} VmicacheFill;

/*
 * Used only in the AioContext of @bs, but for what says otherwise; not locked.
 */
typedef struct VmicacheQueue {
    BlockDriverState *bs;           /* the filter; constant */
    VmicacheKnowledge *knowledge;   /* constant */
    int64_t length;                 /* of the disk; constant */
    int64_t unit;                   /* bytes of a fill unit; constant */
    int64_t quota;                  /* bytes; constant */
    int64_t limit;                  /* most bytes in the queue; constant */
    bool reclaimed;                 /* vmicache_reclaim() was called */

    VmicacheFillState state;        /* atomic: the monitor reads it */
    uint64_t queued;                /* bytes in the queue; atomic: same */
    int notes;                      /* fills in the queue that are @zero */
    GHashTable *fills;              /* unit's number -> VmicacheFill that holds it */
    QTAILQ_HEAD(, VmicacheFill) ready;  /* complete fills, oldest first */
    bool writing;                   /* the writer's coroutine exists */
    int drained;                    /* drained sections; the writer pauses */
    bool closing;                   /* the writer goes on, until @deadline_ns */
    int64_t deadline_ns;            /* QEMU_CLOCK_REALTIME */

    Stat64 bytes_filled, bytes_edge;
    Stat64 dropped, refused, errors;
    Stat64 cache_errors;            /* failed reads of the cache */
} VmicacheQueue;

void vmicache_queue_init(VmicacheQueue *q, BlockDriverState *bs,
                         VmicacheKnowledge *knowledge, int64_t length);

/* The node whose file is filled: the first below the filter that is no filter. */
BlockDriverState *vmicache_cache_bs(BlockDriverState *bs);

/* Reads from the base, or zeroes where there is none. */
int coroutine_fn vmicache_read_base(BlockDriverState *bs, int64_t offset,
                                    int64_t bytes, QEMUIOVector *qiov,
                                    size_t qiov_offset);

/* The fill that holds @offset, or NULL. */
VmicacheFill *vmicache_fill_at(VmicacheQueue *q, int64_t offset);

/*
 * Registers a fill for a read of the base from @offset; [offset, offset + bytes)
 * is in no other one. It may end before the read does. NULL when there will be
 * none, for reasons that were counted.
 */
VmicacheFill *vmicache_fill_begin(VmicacheQueue *q, int64_t offset,
                                  int64_t bytes);

/* The read has put [offset, offset + bytes) into the buffer, or failed. */
void coroutine_fn vmicache_fill_have(VmicacheQueue *q, VmicacheFill *fill,
                                     int64_t offset, int64_t bytes, int ret);

/*
 * Copies [offset, offset + bytes), which @fill holds, once it has arrived.
 * False if it never will.
 */
bool coroutine_fn vmicache_fill_read(VmicacheFill *fill, int64_t offset,
                                     int64_t bytes, QEMUIOVector *qiov,
                                     size_t qiov_offset);
void vmicache_fill_ref(VmicacheFill *fill);
void vmicache_fill_unref(VmicacheFill *fill);

/*
 * Notes in the cache that the units of [offset, offset + bytes) are zero, so that
 * nobody has to ask the base for them again. Takes no clusters but L2 tables.
 */
void vmicache_fill_zeroes(VmicacheQueue *q, int64_t offset, int64_t bytes);

/* Drained sections: the queue keeps its bytes, and serves reads, unwritten. */
void coroutine_fn vmicache_queue_pause(VmicacheQueue *q);
void coroutine_fn vmicache_queue_resume(VmicacheQueue *q);

/* Writes what is left, for at most @timeout_ms; drops the rest. */
void vmicache_queue_close(VmicacheQueue *q, uint32_t timeout_ms);

#endif
