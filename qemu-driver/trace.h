/*
 * The trace of the boot cache filter: one record for every extent that was read
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMICACHE_TRACE_H
#define VMICACHE_TRACE_H

typedef struct VmicacheTrace VmicacheTrace;

/* Record flags; docs/trace-format.md. */
enum {
    VMICACHE_TRACE_HIT = 1,
    VMICACHE_TRACE_MISS = 2,
    VMICACHE_TRACE_ZERO = 4,
    VMICACHE_TRACE_QUEUED = 8,
    VMICACHE_TRACE_ERROR = 16,
};

/* Creates or overwrites the file @path. */
VmicacheTrace *vmicache_trace_open(const char *path, Error **errp);

/* Times are CLOCK_MONOTONIC in nanoseconds. Never waits for the file. */
void vmicache_trace_add(VmicacheTrace *t, int64_t submit_ns,
                        int64_t complete_ns, uint64_t offset, uint64_t bytes,
                        uint32_t flags);

/* Records that were lost, for any reason. */
uint64_t vmicache_trace_dropped(VmicacheTrace *t);

/* Writes what is left; @t may be NULL. */
void vmicache_trace_close(VmicacheTrace *t);

#endif
