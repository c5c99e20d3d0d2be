/*
 * The trace of the boot cache filter: one record for every extent that was read
 *
 * Readers of the disk append to one of two buffers; a thread writes the other
 * one to the file, at least every half second. So a slow file never delays a
 * guest, and a crash loses at most the last second. When both buffers are
 * full, records are dropped and counted; the first error on the file ends the
 * trace with one warning. The format is described in docs/trace-format.md.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/stats64.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "trace.h"

#define TRACE_VERSION 1
#define TRACE_BUFFER_RECORDS 8192
#define TRACE_FLUSH_MS 500

typedef struct QEMU_PACKED TraceHeader {
    char magic[8];
    uint32_t version;
    uint32_t header_bytes;
    uint32_t record_bytes;
    uint32_t reserved;
    uint64_t realtime_ns;
    uint64_t monotonic_ns;
} TraceHeader;

typedef struct QEMU_PACKED TraceRecord {
    uint64_t submit_ns;
    uint64_t complete_ns;
    uint64_t offset;
    uint32_t bytes;
    uint32_t flags;
} TraceRecord;

QEMU_BUILD_BUG_ON(sizeof(TraceHeader) != 40);
QEMU_BUILD_BUG_ON(sizeof(TraceRecord) != 32);

struct VmicacheTrace {
    char *path;             /* constant */
    int fd;                 /* the writer's alone, once it runs */
    QemuThread writer;
    Stat64 dropped;

    QemuMutex lock;         /* protects what follows */
    QemuCond wake;          /* signalled when a buffer is half full, and to stop */
    TraceRecord *filling;   /* the buffer that records are appended to */
    TraceRecord *writing;   /* the writer's, while it is unlocked */
    size_t used;            /* records in @filling */
    bool stopping;
    bool failed;            /* the file cannot be written; records are dropped */
};

/* With the lock held; lets go of it while it writes. */
static void trace_flush(VmicacheTrace *t)
{
    size_t count = t->used;
    TraceRecord *full = t->filling;

    if (!count) {
        return;
    }
    t->filling = t->writing;
    t->writing = full;
    t->used = 0;
    qemu_mutex_unlock(&t->lock);
    if (t->failed ||
        qemu_write_full(t->fd, full, count * sizeof(*full)) !=
            count * sizeof(*full)) {
        stat64_add(&t->dropped, count);
        if (!t->failed) {
            warn_report("vmicache: trace '%s' ends here: %s", t->path,
                        strerror(errno));
        }
        qemu_mutex_lock(&t->lock);
        t->failed = true;
        return;
    }
    qemu_mutex_lock(&t->lock);
}

static void *trace_writer(void *opaque)
{
    VmicacheTrace *t = opaque;

    qemu_mutex_lock(&t->lock);
    while (!t->stopping) {
        qemu_cond_timedwait(&t->wake, &t->lock, TRACE_FLUSH_MS);
        trace_flush(t);
    }
    trace_flush(t);
    qemu_mutex_unlock(&t->lock);
    return NULL;
}

VmicacheTrace *vmicache_trace_open(const char *path, Error **errp)
{
    TraceHeader header = {
        .magic = { 'V', 'M', 'I', 'T', 'R', 'A', 'C', 'E' },
        .version = cpu_to_le32(TRACE_VERSION),
        .header_bytes = cpu_to_le32(sizeof(TraceHeader)),
        .record_bytes = cpu_to_le32(sizeof(TraceRecord)),
        .realtime_ns = cpu_to_le64(qemu_clock_get_ns(QEMU_CLOCK_HOST)),
        .monotonic_ns = cpu_to_le64(qemu_clock_get_ns(QEMU_CLOCK_REALTIME)),
    };
    VmicacheTrace *t;
    int fd = qemu_create(path, O_WRONLY | O_TRUNC, 0644, errp);

    if (fd < 0) {
        return NULL;
    }
    if (qemu_write_full(fd, &header, sizeof(header)) != sizeof(header)) {
        error_setg_errno(errp, errno, "Could not write trace '%s'", path);
        qemu_close(fd);
        return NULL;
    }
    t = g_new0(VmicacheTrace, 1);
    t->path = g_strdup(path);
    t->fd = fd;
    t->filling = g_new(TraceRecord, TRACE_BUFFER_RECORDS);
    t->writing = g_new(TraceRecord, TRACE_BUFFER_RECORDS);
    stat64_init(&t->dropped, 0);
    qemu_mutex_init(&t->lock);
    qemu_cond_init(&t->wake);
    qemu_thread_create(&t->writer, "vmicache-trace", trace_writer, t,
                       QEMU_THREAD_JOINABLE);
    return t;
}

void vmicache_trace_add(VmicacheTrace *t, int64_t submit_ns,
                        int64_t complete_ns, uint64_t offset, uint64_t bytes,
                        uint32_t flags)
{
    qemu_mutex_lock(&t->lock);
    if (t->failed || t->used == TRACE_BUFFER_RECORDS) {
        stat64_add(&t->dropped, 1);
    } else {
        t->filling[t->used++] = (TraceRecord) {
            .submit_ns = cpu_to_le64(submit_ns),
            .complete_ns = cpu_to_le64(complete_ns),
            .offset = cpu_to_le64(offset),
            .bytes = cpu_to_le32(bytes),
            .flags = cpu_to_le32(flags),
        };
        if (t->used == TRACE_BUFFER_RECORDS / 2) {
            qemu_cond_signal(&t->wake);
        }
    }
    qemu_mutex_unlock(&t->lock);
}

uint64_t vmicache_trace_dropped(VmicacheTrace *t)
{
    return t ? stat64_get(&t->dropped) : 0;
}

void vmicache_trace_close(VmicacheTrace *t)
{
    if (!t) {
        return;
    }
    qemu_mutex_lock(&t->lock);
    t->stopping = true;
    qemu_cond_signal(&t->wake);
    qemu_mutex_unlock(&t->lock);
    qemu_thread_join(&t->writer);
    qemu_close(t->fd);
    qemu_cond_destroy(&t->wake);
    qemu_mutex_destroy(&t->lock);
    g_free(t->filling);
    g_free(t->writing);
    g_free(t->path);
    g_free(t);
}
