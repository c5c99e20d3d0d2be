/*
 * The write-behind queue of the boot cache filter
 *
 * Notes on the design and implementation:
 *
 * A read that misses lands in the buffer of a fill, never in the guest's memory
 * first: a guest may write to its memory while it reads into it, and what it
 * wrote must not get into a cache that others trust. When the read is done, the
 * guest has its copy and goes on. What the read lacks of whole fill units, its
 * edges, is read from the base at once by a coroutine of its own; then the fill
 * is complete, and ready for the writer.
 *
 * The writer is one coroutine, so that the quota can be checked against the
 * file's real length before each write, and so that it costs the guest's reads
 * no more than one write's share of the disk. It goes when nothing is ready.
 * It pauses in drained sections, between two writes, and resumes after, perhaps
 * in another AioContext. Only closing writes all, up to a deadline.
 *
 * qcow2 writes data first, then the refcounts, then the L2 entry that makes the
 * cluster visible. So a QEMU that is killed leaves no more than clusters that
 * leak, and no byte that differs from the base.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/memalign.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "fill.h"
#include "quota.h"

/* A read of the base for more than this is filled in several parts. */
#define MAX_FILL (1 * MiB)

/* Zeroes are noted for so much at once, and for so many stretches at a time. */
#define MAX_NOTE (32 * MiB)
#define MAX_NOTES 1024

/* The writer looks at deadlines and drained sections between such writes. */
#define MAX_WRITE (256 * KiB)

void vmicache_queue_init(VmicacheQueue *q, BlockDriverState *bs,
                         VmicacheKnowledge *knowledge, int64_t length)
{
    q->bs = bs;
    q->knowledge = knowledge;
    q->length = length;
    q->fills = g_hash_table_new(NULL, NULL);
    QTAILQ_INIT(&q->ready);
    stat64_init(&q->bytes_filled, 0);
    stat64_init(&q->bytes_edge, 0);
    stat64_init(&q->dropped, 0);
    stat64_init(&q->refused, 0);
    stat64_init(&q->errors, 0);
    stat64_init(&q->cache_errors, 0);
}

BlockDriverState *vmicache_cache_bs(BlockDriverState *bs)
{
    return bdrv_skip_filters(bs->file->bs);
}

int coroutine_fn vmicache_read_base(BlockDriverState *bs, int64_t offset,
                                    int64_t bytes, QEMUIOVector *qiov,
                                    size_t qiov_offset)
{
    BdrvChild *base = bdrv_cow_child(vmicache_cache_bs(bs));

    if (!base) {
        qemu_iovec_memset(qiov, qiov_offset, 0, bytes);
        return 0;
    }
    return bdrv_co_preadv_part(base, offset, bytes, qiov, qiov_offset, 0);
}

static gpointer unit_key(VmicacheQueue *q, int64_t offset)
{
    return (gpointer)(uintptr_t)(offset / q->unit);
}

VmicacheFill *vmicache_fill_at(VmicacheQueue *q, int64_t offset)
{
    if (!q->queued) {
        return NULL;
    }
    return g_hash_table_lookup(q->fills, unit_key(q, offset));
}

void vmicache_fill_ref(VmicacheFill *fill)
{
    fill->refs++;
}

void vmicache_fill_unref(VmicacheFill *fill)
{
    if (--fill->refs == 0) {
        qemu_vfree(fill->buf);
        g_free(fill);
    }
}

/* Counts a fill that there will not be. */
static void count_lost(VmicacheQueue *q)
{
    if (q->state == VMICACHE_FILL_STATE_FULL) {
        stat64_add(&q->refused, 1);
    } else if (q->state != VMICACHE_FILL_STATE_OFF) {
        stat64_add(&q->dropped, 1);
    }
}

VmicacheFill *vmicache_fill_begin(VmicacheQueue *q, int64_t offset,
                                  int64_t bytes)
{
    int64_t start, end;
    VmicacheFill *fill;
    uint8_t *buf;

    if (q->state != VMICACHE_FILL_STATE_FILLING) {
        count_lost(q);
        return NULL;
    }
    start = QEMU_ALIGN_DOWN(offset, q->unit);
    end = MIN(ROUND_UP(offset + bytes, q->unit),
              start + MAX(MAX_FILL, q->unit));
    end = MIN(end, q->length);
    if (vmicache_facts(q->knowledge, offset) & VMICACHE_UNREADABLE ||
        q->queued + end - start > q->limit) {
        count_lost(q);
        return NULL;
    }
    buf = qemu_try_blockalign(q->bs->file->bs, end - start);
    if (!buf) {
        count_lost(q);
        return NULL;
    }

    fill = g_new0(VmicacheFill, 1);
    fill->offset = fill->written = start;
    fill->bytes = end - start;
    fill->buf = buf;
    fill->refs = 1;
    qemu_co_queue_init(&fill->waiters);
    qatomic_set(&q->queued, q->queued + fill->bytes);
    for (int64_t pos = start; pos < end; pos += q->unit) {
        g_hash_table_insert(q->fills, unit_key(q, pos), fill);
    }
    return fill;
}

/* Takes @fill out of the queue. */
static void fill_end(VmicacheQueue *q, VmicacheFill *fill)
{
    if (fill->zero) {
        q->notes--;
    } else {
        for (int64_t pos = fill->offset; pos < fill->offset + fill->bytes;
             pos += q->unit) {
            g_hash_table_remove(q->fills, unit_key(q, pos));
        }
        qatomic_set(&q->queued, q->queued - fill->bytes);
    }
    vmicache_fill_unref(fill);
}

static void coroutine_fn fill_fail(VmicacheQueue *q, VmicacheFill *fill)
{
    fill->failed = true;
    qemu_co_queue_restart_all(&fill->waiters);
    count_lost(q);
    fill_end(q, fill);
}

static void stop_filling(VmicacheQueue *q, VmicacheFillState state)
{
    qatomic_set(&q->state, state);
}

/* Whether the writer should stop where it is, and keep the rest. */
static bool writer_pauses(VmicacheQueue *q)
{
    return q->drained && !q->closing;
}

static bool writer_gives_up(VmicacheQueue *q)
{
    return q->state != VMICACHE_FILL_STATE_FILLING ||
           (q->closing &&
            qemu_clock_get_ns(QEMU_CLOCK_REALTIME) > q->deadline_ns);
}

static bool wanted(VmicacheQueue *q, int64_t offset)
{
    return !(vmicache_facts(q->knowledge, offset) &
             (VMICACHE_CACHED | VMICACHE_ZERO | VMICACHE_UNREADABLE));
}

static bool unit_is_zero(VmicacheQueue *q, VmicacheFill *fill, int64_t offset)
{
    return buffer_is_zero(fill->buf + offset - fill->offset,
                          vmicache_unit_end(q->knowledge, offset) - offset);
}

/* Writes one run of clusters that are all data, or all zeroes: without @buf. */
static int coroutine_fn write_run(VmicacheQueue *q, int64_t offset,
                                  int64_t bytes, uint8_t *buf)
{
    QEMUIOVector qiov = QEMU_IOVEC_INIT_BUF(qiov, buf, bytes);

    if (!buf) {
        return bdrv_co_pwrite_zeroes(q->bs->file, offset, bytes,
                                     BDRV_REQ_WRITE_UNCHANGED);
    }
    return bdrv_co_pwritev(q->bs->file, offset, bytes, &qiov,
                           BDRV_REQ_WRITE_UNCHANGED);
}

/* Writes the next run of @fill, from @fill->written. */
static void coroutine_fn write_next(VmicacheQueue *q, VmicacheFill *fill)
{
    BlockDriverState *cache = vmicache_cache_bs(q->bs);
    int64_t start = fill->written;
    int64_t stop = MIN(fill->offset + fill->bytes,
                       start + (fill->zero ? MAX_NOTE : MAX_WRITE));
    int64_t end = vmicache_unit_end(q->knowledge, start);
    int64_t worst;
    bool zero;
    int ret;

    if (fill->zero) {
        zero = true;
        end = stop;
    } else if (!wanted(q, start)) {
        fill->written = end;
        return;
    } else {
        zero = unit_is_zero(q, fill, start);
        while (end < stop && wanted(q, end) &&
               unit_is_zero(q, fill, end) == zero) {
            end = vmicache_unit_end(q->knowledge, end);
        }
    }

    ret = q->reclaimed ? 0 : vmicache_reclaim(cache);
    q->reclaimed = true;
    if (ret >= 0) {
        worst = vmicache_worst_length(cache, start, end - start, zero);
        if (worst > q->quota) {
            stop_filling(q, VMICACHE_FILL_STATE_FULL);
            return;
        }
        ret = MIN(worst, 0);
    }
    if (ret >= 0) {
        ret = write_run(q, start, end - start,
                        zero ? NULL : fill->buf + start - fill->offset);
    }
    if (ret < 0) {
        warn_report("vmicache: node '%s' stops filling its cache: %s",
                    bdrv_get_node_name(q->bs), strerror(-ret));
        stat64_add(&q->errors, 1);
        stop_filling(q, VMICACHE_FILL_STATE_FAILED);
        return;
    }
    fill->written = end;
    if (!fill->zero) {
        vmicache_now_cached(q->knowledge, start, end - start);
        stat64_add(&q->bytes_filled, end - start);
    }
}

static void coroutine_fn writer_entry(void *opaque)
{
    VmicacheQueue *q = opaque;
    VmicacheFill *fill;

    while (!writer_pauses(q) && (fill = QTAILQ_FIRST(&q->ready))) {
        if (writer_gives_up(q)) {
            count_lost(q);
        } else if (fill->written < fill->offset + fill->bytes) {
            write_next(q, fill);
            continue;
        }
        QTAILQ_REMOVE(&q->ready, fill, ready_next);
        fill_end(q, fill);
    }
    q->writing = false;
    bdrv_dec_in_flight(q->bs);
}

static void start_coroutine(VmicacheQueue *q, CoroutineEntry *entry,
                            void *opaque)
{
    bdrv_inc_in_flight(q->bs);
    bdrv_coroutine_enter(q->bs, qemu_coroutine_create(entry, opaque));
}

static void start_writer(VmicacheQueue *q)
{
    if (!q->writing && !writer_pauses(q) && !QTAILQ_EMPTY(&q->ready)) {
        q->writing = true;
        start_coroutine(q, writer_entry, q);
    }
}

static void coroutine_fn fill_complete(VmicacheQueue *q, VmicacheFill *fill)
{
    fill->complete = true;
    qemu_co_queue_restart_all(&fill->waiters);
    QTAILQ_INSERT_TAIL(&q->ready, fill, ready_next);
    start_writer(q);
}

/* Reads what [offset, end) lacks from the base. */
static int coroutine_fn read_edge(VmicacheQueue *q, VmicacheFill *fill,
                                  int64_t offset, int64_t end)
{
    int64_t pos = offset;

    while (pos < end) {
        int64_t stop = MIN(vmicache_unit_end(q->knowledge, pos), end);
        QEMUIOVector qiov;
        int ret;

        if (!wanted(q, pos)) {
            pos = stop;
            continue;
        }
        while (stop < end && wanted(q, stop)) {
            stop = MIN(vmicache_unit_end(q->knowledge, stop), end);
        }
        qemu_iovec_init_buf(&qiov, fill->buf + pos - fill->offset, stop - pos);
        ret = vmicache_read_base(q->bs, pos, stop - pos, &qiov, 0);
        if (ret < 0) {
            return ret;
        }
        stat64_add(&q->bytes_edge, stop - pos);
        pos = stop;
    }
    return 0;
}

typedef struct EdgeRequest {
    VmicacheQueue *q;
    VmicacheFill *fill;
} EdgeRequest;

static void coroutine_fn edges_entry(void *opaque)
{
    EdgeRequest *request = opaque;
    VmicacheQueue *q = request->q;
    VmicacheFill *fill = request->fill;
    int64_t end = fill->offset + fill->bytes;
    int ret;

    vmicache_learn(q->knowledge, vmicache_cache_bs(q->bs), fill->offset, end,
                   &q->cache_errors);
    ret = read_edge(q, fill, fill->offset, fill->have_start);
    if (ret >= 0) {
        ret = read_edge(q, fill, fill->have_end, end);
    }
    if (ret < 0) {
        fill_fail(q, fill);
    } else {
        fill_complete(q, fill);
    }
    g_free(request);
    bdrv_dec_in_flight(q->bs);
}

void coroutine_fn vmicache_fill_have(VmicacheQueue *q, VmicacheFill *fill,
                                     int64_t offset, int64_t bytes, int ret)
{
    if (ret < 0) {
        fill_fail(q, fill);
        return;
    }
    fill->have_start = offset;
    fill->have_end = offset + bytes;
    if (bytes == fill->bytes) {
        fill_complete(q, fill);
    } else {
        EdgeRequest *request = g_new(EdgeRequest, 1);

        *request = (EdgeRequest) { q, fill };
        qemu_co_queue_restart_all(&fill->waiters);
        start_coroutine(q, edges_entry, request);
    }
}

static void note_zeroes(VmicacheQueue *q, int64_t offset, int64_t bytes)
{
    VmicacheFill *fill = g_new0(VmicacheFill, 1);

    fill->offset = fill->written = offset;
    fill->bytes = bytes;
    fill->zero = fill->complete = true;
    fill->refs = 1;
    qemu_co_queue_init(&fill->waiters);
    vmicache_now_noted(q->knowledge, offset, bytes);
    q->notes++;
    QTAILQ_INSERT_TAIL(&q->ready, fill, ready_next);
}

void vmicache_fill_zeroes(VmicacheQueue *q, int64_t offset, int64_t bytes)
{
    VmicacheKnowledge *k = q->knowledge;
    /* A unit that the disk's end cuts would have to be written as data. */
    int64_t end = MIN(vmicache_unit_end(k, offset + bytes - 1),
                      vmicache_unit_start(k, q->length));
    int64_t pos = vmicache_unit_start(k, offset);

    while (pos < end && q->state == VMICACHE_FILL_STATE_FILLING &&
           q->notes < MAX_NOTES) {
        int64_t stop = pos;

        while (stop < end && !(vmicache_facts(k, stop) & VMICACHE_NOTED)) {
            stop = vmicache_unit_end(k, stop);
        }
        if (stop > pos) {
            note_zeroes(q, pos, stop - pos);
        }
        pos = MAX(stop, vmicache_unit_end(k, pos));
    }
    start_writer(q);
}

bool coroutine_fn vmicache_fill_read(VmicacheFill *fill, int64_t offset,
                                     int64_t bytes, QEMUIOVector *qiov,
                                     size_t qiov_offset)
{
    while (!fill->complete && !fill->failed &&
           (offset < fill->have_start || offset + bytes > fill->have_end)) {
        qemu_co_queue_wait(&fill->waiters, NULL);
    }
    if (fill->failed) {
        return false;
    }
    qemu_iovec_from_buf(qiov, qiov_offset, fill->buf + offset - fill->offset,
                        bytes);
    return true;
}

void coroutine_fn vmicache_queue_pause(VmicacheQueue *q)
{
    q->drained++;
}

void coroutine_fn vmicache_queue_resume(VmicacheQueue *q)
{
    if (--q->drained == 0) {
        start_writer(q);
    }
}

void vmicache_queue_close(VmicacheQueue *q, uint32_t timeout_ms)
{
    q->closing = true;
    q->deadline_ns = qemu_clock_get_ns(QEMU_CLOCK_REALTIME) +
                     timeout_ms * SCALE_MS;
    start_writer(q);
    BDRV_POLL_WHILE(q->bs, q->writing);
    assert(q->queued == 0);
    g_hash_table_destroy(q->fills);
}
