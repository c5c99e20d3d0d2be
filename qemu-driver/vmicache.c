/*
 * Boot cache filter block driver
 *
 * The driver counts and traces which of the reads of a disk its boot cache
 * serves, and fills the cache with those that it does not, within a quota:
 *
 *     overlay (qcow2) -> vmicache -> cache (qcow2) -> base
 *
 * The cache is a layer with the base as its backing file, and holds a subset of
 * it. The filter never changes what is read. Guests write to the overlay; a
 * write to the filter is refused.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/aio_task.h"
#include "block/block_int.h"
#include "block/qcow2.h"
#include "migration/blocker.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "qemu/option.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "fill.h"
#include "trace.h"

#define MIN_GRANULARITY 512
#define MAX_GRANULARITY (2 * MiB)
#define DEFAULT_GRANULARITY (4 * KiB)
#define DEFAULT_QUEUE_SIZE (16 * MiB)
#define DEFAULT_DRAIN_TIMEOUT_MS 10000

/* Requests to the layers below that one request from above is split into. */
#define MAX_PARALLEL_EXTENTS 8

typedef struct BDRVVmicacheState {
    bool fill;                      /* the option; constant */
    uint32_t drain_timeout_ms;      /* constant */
    BlockDriverState *frozen_base;  /* the chain down to it is frozen, or NULL */
    Error *migration_blocker;       /* set while @fill */

    VmicacheKnowledge *knowledge;
    VmicacheQueue queue;
    VmicacheTrace *trace;           /* NULL: none; has its own lock */

    /* Counters; the monitor reads them from another thread. */
    Stat64 hits, misses, zeroes;
    Stat64 bytes_hit, bytes_miss, bytes_zero;
    uint64_t first_read_ns;         /* since the epoch; atomic */
} BDRVVmicacheState;

#define VMICACHE_OPT_FILL "fill"
#define VMICACHE_OPT_QUOTA "quota"
#define VMICACHE_OPT_GRANULARITY "granularity"
#define VMICACHE_OPT_QUEUE_SIZE "queue-size"
#define VMICACHE_OPT_DRAIN_TIMEOUT "drain-timeout"
#define VMICACHE_OPT_TRACE "trace"
static QemuOptsList runtime_opts = {
    .name = "vmicache",
    .head = QTAILQ_HEAD_INITIALIZER(runtime_opts.head),
    .desc = {
        {
            .name = VMICACHE_OPT_FILL,
            .type = QEMU_OPT_BOOL,
            .help = "write to the cache what is read from the base, default off",
        },
        {
            .name = VMICACHE_OPT_QUOTA,
            .type = QEMU_OPT_SIZE,
            .help = "the most bytes the cache file may occupy",
        },
        {
            .name = VMICACHE_OPT_GRANULARITY,
            .type = QEMU_OPT_SIZE,
            .help = "bytes of a fill, default 4K",
        },
        {
            .name = VMICACHE_OPT_QUEUE_SIZE,
            .type = QEMU_OPT_SIZE,
            .help = "the most bytes on their way to the cache, default 16M",
        },
        {
            .name = VMICACHE_OPT_DRAIN_TIMEOUT,
            .type = QEMU_OPT_NUMBER,
            .help = "milliseconds that closing waits for them, default 10000",
        },
        {
            .name = VMICACHE_OPT_TRACE,
            .type = QEMU_OPT_STRING,
            .help = "file to write a record of every extent read to",
        },
        { /* end of list */ }
    },
};

/* The options that do not depend on the cache. */
static bool vmicache_check_opts(BDRVVmicacheState *s, QemuOpts *opts,
                                Error **errp)
{
    VmicacheQueue *q = &s->queue;
    uint64_t granularity = qemu_opt_get_size(opts, VMICACHE_OPT_GRANULARITY,
                                             DEFAULT_GRANULARITY);
    uint64_t quota = qemu_opt_get_size(opts, VMICACHE_OPT_QUOTA, 0);

    s->fill = qemu_opt_get_bool(opts, VMICACHE_OPT_FILL, false);
    s->drain_timeout_ms = MIN(qemu_opt_get_number(opts,
                                                  VMICACHE_OPT_DRAIN_TIMEOUT,
                                                  DEFAULT_DRAIN_TIMEOUT_MS),
                              UINT32_MAX);
    q->limit = MIN(qemu_opt_get_size(opts, VMICACHE_OPT_QUEUE_SIZE,
                                     DEFAULT_QUEUE_SIZE), INT64_MAX / 2);
    q->quota = MIN(quota, INT64_MAX / 2);
    q->unit = granularity;

    if (s->fill && !quota) {
        error_setg(errp, "Parameter 'quota' is required, and greater than 0, "
                   "with fill=on");
        return false;
    }
    if (!is_power_of_2(granularity) || granularity < MIN_GRANULARITY ||
        granularity > MAX_GRANULARITY) {
        error_setg(errp, "Parameter 'granularity' expects a power of two "
                   "between %d and 2M", MIN_GRANULARITY);
        return false;
    }
    return true;
}

/* What filling needs of the cache. */
static bool vmicache_check_cache(BlockDriverState *bs, Error **errp)
{
    BlockDriverState *cache = vmicache_cache_bs(bs);

    if (!cache->drv || strcmp(cache->drv->format_name, "qcow2")) {
        error_setg(errp, "fill=on needs a qcow2 cache, and node '%s' is '%s'",
                   bdrv_get_node_name(cache), bdrv_get_format_name(cache));
        return false;
    }
    if (!bdrv_cow_bs(cache)) {
        error_setg(errp, "fill=on needs a cache with a backing file, and node "
                   "'%s' has none", bdrv_get_node_name(cache));
        return false;
    }
    if (((BDRVQcow2State *)cache->opaque)->data_file != cache->file) {
        error_setg(errp, "fill=on cannot hold a cache with an external data "
                   "file to its quota (node '%s')", bdrv_get_node_name(cache));
        return false;
    }
    return true;
}

/* The bytes that the cache layer holds or does not hold together. */
static int64_t vmicache_cache_unit(BlockDriverState *cache)
{
    BlockDriverInfo bdi;

    if (cache->drv && !strcmp(cache->drv->format_name, "qcow2")) {
        return ((BDRVQcow2State *)cache->opaque)->subcluster_size;
    }
    if (bdrv_get_info(cache, &bdi) >= 0 && bdi.cluster_size >= 512 &&
        is_power_of_2(bdi.cluster_size)) {
        return bdi.cluster_size;
    }
    return DEFAULT_GRANULARITY;
}

static int vmicache_open_fill(BlockDriverState *bs, Error **errp)
{
    BDRVVmicacheState *s = bs->opaque;
    VmicacheQueue *q = &s->queue;
    BlockDriverState *cache = vmicache_cache_bs(bs);
    int ret;

    if (!vmicache_check_cache(bs, errp)) {
        return -EINVAL;
    }
    q->unit = MAX(q->unit, ((BDRVQcow2State *)cache->opaque)->cluster_size);
    q->limit = MAX(q->limit, q->unit);

    error_setg(&s->migration_blocker, "The vmicache filter used by node '%s' "
               "does not support live migration while it fills its cache",
               bdrv_get_device_or_node_name(bs));
    ret = migrate_add_blocker(s->migration_blocker, errp);
    if (ret < 0) {
        error_free(s->migration_blocker);
        s->migration_blocker = NULL;
        return ret;
    }

    vmicache_survey(s->knowledge, cache, &q->cache_errors);
    q->state = VMICACHE_FILL_STATE_FILLING;
    if (bdrv_is_read_only(bs->file->bs)) {
        warn_report("vmicache: node '%s' does not fill its cache, which is "
                    "read-only", bdrv_get_node_name(bs));
        stat64_add(&q->errors, 1);
        q->state = VMICACHE_FILL_STATE_FAILED;
    }
    return 0;
}

/* Undoes what was done, in any state; not the queue's rest. */
static void vmicache_cleanup(BlockDriverState *bs)
{
    BDRVVmicacheState *s = bs->opaque;

    if (s->migration_blocker) {
        migrate_del_blocker(s->migration_blocker);
        error_free(s->migration_blocker);
        s->migration_blocker = NULL;
    }
    if (s->frozen_base) {
        bdrv_unfreeze_backing_chain(bs, s->frozen_base);
        bdrv_unref(s->frozen_base);
        s->frozen_base = NULL;
    }
    vmicache_trace_close(s->trace);
    s->trace = NULL;
    vmicache_knowledge_free(s->knowledge);
    s->knowledge = NULL;
}

static int vmicache_open(BlockDriverState *bs, QDict *options, int flags,
                         Error **errp)
{
    BDRVVmicacheState *s = bs->opaque;
    g_autoptr(QemuOpts) opts = NULL;
    BlockDriverState *cache, *base;
    const char *trace;
    int64_t length;
    int ret;

    ret = bdrv_open_file_child(NULL, options, "file", bs, errp);
    if (ret < 0) {
        return ret;
    }
    opts = qemu_opts_create(&runtime_opts, NULL, 0, &error_abort);
    if (!qemu_opts_absorb_qdict(opts, options, errp) ||
        !vmicache_check_opts(s, opts, errp)) {
        return -EINVAL;
    }

    length = bdrv_getlength(bs->file->bs);
    if (length < 0) {
        error_setg_errno(errp, -length, "Could not get the size of node '%s'",
                         bdrv_get_node_name(bs->file->bs));
        return length;
    }
    cache = vmicache_cache_bs(bs);
    base = bdrv_cow_bs(cache);
    s->knowledge = vmicache_knowledge_new(length, vmicache_cache_unit(cache));
    vmicache_queue_init(&s->queue, bs, s->knowledge, length);
    stat64_init(&s->hits, 0);
    stat64_init(&s->misses, 0);
    stat64_init(&s->zeroes, 0);
    stat64_init(&s->bytes_hit, 0);
    stat64_init(&s->bytes_miss, 0);
    stat64_init(&s->bytes_zero, 0);

    /* What was learnt about the base holds while it is the base. */
    if (base) {
        ret = bdrv_freeze_backing_chain(bs, base, errp);
        if (ret < 0) {
            goto fail;
        }
        bdrv_ref(base);
        s->frozen_base = base;
    }
    if (s->fill) {
        ret = vmicache_open_fill(bs, errp);
        if (ret < 0) {
            goto fail;
        }
    }
    trace = qemu_opt_get(opts, VMICACHE_OPT_TRACE);
    if (trace) {
        s->trace = vmicache_trace_open(trace, errp);
        if (!s->trace) {
            ret = -EINVAL;
            goto fail;
        }
    }
    return 0;

fail:
    g_hash_table_destroy(s->queue.fills);
    vmicache_cleanup(bs);
    return ret;
}

static void vmicache_close(BlockDriverState *bs)
{
    BDRVVmicacheState *s = bs->opaque;

    vmicache_queue_close(&s->queue, s->drain_timeout_ms);
    vmicache_cleanup(bs);
}

/* Flags may change with the nodes above; no option of ours may. */
static int vmicache_reopen_prepare(BDRVReopenState *state,
                                   BlockReopenQueue *queue, Error **errp)
{
    return 0;
}

static int vmicache_check_perm(BlockDriverState *bs, uint64_t perm,
                               uint64_t shared, Error **errp)
{
    if (perm & (BLK_PERM_WRITE | BLK_PERM_RESIZE)) {
        error_setg(errp, "Node '%s' is a vmicache filter, which is not written "
                   "to: write to an overlay above it",
                   bdrv_get_node_name(bs));
        return -EPERM;
    }
    return 0;
}

static void vmicache_child_perm(BlockDriverState *bs, BdrvChild *c,
                                BdrvChildRole role,
                                BlockReopenQueue *reopen_queue,
                                uint64_t perm, uint64_t shared,
                                uint64_t *nperm, uint64_t *nshared)
{
    BDRVVmicacheState *s = bs->opaque;

    *nperm = perm & BLK_PERM_CONSISTENT_READ;
    /* Nobody else may change what we know the cache to hold. */
    *nshared = (shared & BLK_PERM_CONSISTENT_READ) | BLK_PERM_WRITE_UNCHANGED;

    /*
     * We must not request write permissions for an inactive node, the child
     * cannot provide it. Nor can a cache that is read-only; it does not fill.
     */
    if (s->fill && !(bs->open_flags & BDRV_O_INACTIVE) &&
        !(c && bdrv_is_read_only(c->bs))) {
        *nperm |= BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE_UNCHANGED;
    }
}

static int64_t vmicache_getlength(BlockDriverState *bs)
{
    return bdrv_getlength(bs->file->bs);
}

/* Who serves an extent. */
typedef enum Source {
    SOURCE_CACHE,
    SOURCE_ZERO,
    SOURCE_FILL,    /* on its way to the cache */
    SOURCE_BASE,
} Source;

/* All that is known, without a yield. */
static Source source_at(BDRVVmicacheState *s, int64_t offset,
                        VmicacheFill **fill)
{
    unsigned facts = vmicache_facts(s->knowledge, offset);

    *fill = NULL;
    if (facts & VMICACHE_UNREADABLE) {
        return SOURCE_BASE;
    }
    if (facts & VMICACHE_CACHED) {
        return SOURCE_CACHE;
    }
    if (facts & VMICACHE_ZERO) {
        return SOURCE_ZERO;
    }
    *fill = vmicache_fill_at(&s->queue, offset);
    return *fill ? SOURCE_FILL : SOURCE_BASE;
}

/* One extent of a request, and who serves it. */
typedef struct Extent {
    AioTask task;
    BlockDriverState *bs;
    Source source;
    VmicacheFill *fill;     /* held, if SOURCE_FILL; ours, if SOURCE_BASE */
    int64_t offset, bytes;
    QEMUIOVector *qiov;
    size_t qiov_offset;
    int64_t submit_ns;      /* when the request came */
} Extent;

/* The extent that starts at @offset, and does not go beyond @end. */
static Extent next_extent(BlockDriverState *bs, int64_t offset, int64_t end)
{
    BDRVVmicacheState *s = bs->opaque;
    Extent e = { .bs = bs, .offset = offset };
    int64_t stop;
    VmicacheFill *fill;

    if (vmicache_all_cached(s->knowledge, offset, end)) {
        e.source = SOURCE_CACHE;
        e.bytes = end - offset;
        return e;
    }
    stop = MIN(vmicache_unit_end(s->knowledge, offset), end);
    e.source = source_at(s, offset, &e.fill);
    while (stop < end && source_at(s, stop, &fill) == e.source &&
           fill == e.fill) {
        stop = MIN(vmicache_unit_end(s->knowledge, stop), end);
    }
    if (e.source == SOURCE_FILL) {
        vmicache_fill_ref(e.fill);
    } else if (e.source == SOURCE_BASE) {
        e.fill = vmicache_fill_begin(&s->queue, offset, stop - offset);
        if (e.fill) {
            stop = MIN(stop, e.fill->offset + e.fill->bytes);
        }
    }
    e.bytes = stop - offset;
    return e;
}

/* A miss: by way of the fill's buffer, if it is to be filled. */
static int coroutine_fn read_miss(Extent *e)
{
    BDRVVmicacheState *s = e->bs->opaque;
    VmicacheFill *fill = e->fill;
    QEMUIOVector qiov;
    uint8_t *buf;
    int ret;

    if (!fill) {
        return vmicache_read_base(e->bs, e->offset, e->bytes, e->qiov,
                                  e->qiov_offset);
    }
    buf = fill->buf + e->offset - fill->offset;
    qemu_iovec_init_buf(&qiov, buf, e->bytes);
    ret = vmicache_read_base(e->bs, e->offset, e->bytes, &qiov, 0);
    if (ret >= 0) {
        qemu_iovec_from_buf(e->qiov, e->qiov_offset, buf, e->bytes);
    }
    vmicache_fill_have(&s->queue, fill, e->offset, e->bytes, ret);
    return ret;
}

/* Serves the extent; says in @flags how. */
static int coroutine_fn read_from_source(Extent *e, uint32_t *flags)
{
    BDRVVmicacheState *s = e->bs->opaque;
    VmicacheFill *fill = e->fill;
    bool arrived;
    int ret;

    switch (e->source) {
    case SOURCE_ZERO:
        *flags = VMICACHE_TRACE_ZERO;
        qemu_iovec_memset(e->qiov, e->qiov_offset, 0, e->bytes);
        vmicache_fill_zeroes(&s->queue, e->offset, e->bytes);
        return 0;
    case SOURCE_CACHE:
        *flags = VMICACHE_TRACE_HIT;
        ret = bdrv_co_preadv_part(e->bs->file, e->offset, e->bytes, e->qiov,
                                  e->qiov_offset, 0);
        if (ret >= 0) {
            return ret;
        }
        stat64_add(&s->queue.cache_errors, 1);
        break;
    case SOURCE_FILL:
        *flags = VMICACHE_TRACE_HIT | VMICACHE_TRACE_QUEUED;
        arrived = vmicache_fill_read(fill, e->offset, e->bytes, e->qiov,
                                     e->qiov_offset);
        e->fill = NULL;
        vmicache_fill_unref(fill);
        if (arrived) {
            return 0;
        }
        break;
    case SOURCE_BASE:
        break;
    }
    *flags = VMICACHE_TRACE_MISS;
    return read_miss(e);
}

static int coroutine_fn read_extent(Extent *e)
{
    BDRVVmicacheState *s = e->bs->opaque;
    uint32_t flags;
    int ret = read_from_source(e, &flags);

    if (ret < 0) {
        flags |= VMICACHE_TRACE_ERROR;
    } else if (flags & VMICACHE_TRACE_HIT) {
        stat64_add(&s->hits, 1);
        stat64_add(&s->bytes_hit, e->bytes);
    } else if (flags & VMICACHE_TRACE_MISS) {
        stat64_add(&s->misses, 1);
        stat64_add(&s->bytes_miss, e->bytes);
    } else {
        stat64_add(&s->zeroes, 1);
        stat64_add(&s->bytes_zero, e->bytes);
    }
    if (s->trace) {
        vmicache_trace_add(s->trace, e->submit_ns,
                           qemu_clock_get_ns(QEMU_CLOCK_REALTIME), e->offset,
                           e->bytes, flags);
    }
    return ret;
}

static int coroutine_fn extent_task_entry(AioTask *task)
{
    return read_extent(container_of(task, Extent, task));
}

static int coroutine_fn vmicache_co_preadv_part(BlockDriverState *bs,
                                                int64_t offset, int64_t bytes,
                                                QEMUIOVector *qiov,
                                                size_t qiov_offset,
                                                BdrvRequestFlags flags)
{
    BDRVVmicacheState *s = bs->opaque;
    int64_t end = offset + bytes;
    int64_t submit_ns = 0;
    AioTaskPool *pool = NULL;
    int ret = 0;

    if (s->trace) {
        submit_ns = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    }
    if (!s->first_read_ns) {
        qatomic_set(&s->first_read_ns, qemu_clock_get_ns(QEMU_CLOCK_HOST));
    }

    vmicache_learn(s->knowledge, vmicache_cache_bs(bs), offset, end,
                   &s->queue.cache_errors);
    while (offset < end && ret >= 0) {
        Extent e = next_extent(bs, offset, end);
        Extent *task;

        e.task.func = extent_task_entry;
        e.qiov = qiov;
        e.qiov_offset = qiov_offset;
        e.submit_ns = submit_ns;
        offset += e.bytes;
        qiov_offset += e.bytes;
        if (!pool && offset == end) {
            return read_extent(&e);
        }
        if (!pool) {
            pool = aio_task_pool_new(MAX_PARALLEL_EXTENTS);
        }
        task = g_memdup2(&e, sizeof(e));
        aio_task_pool_start_task(pool, &task->task);
        ret = aio_task_pool_status(pool);
    }
    if (pool) {
        aio_task_pool_wait_all(pool);
        ret = aio_task_pool_status(pool);
        aio_task_pool_free(pool);
    }
    return ret;
}

static int coroutine_fn vmicache_co_pwritev_part(BlockDriverState *bs,
                                                 int64_t offset, int64_t bytes,
                                                 QEMUIOVector *qiov,
                                                 size_t qiov_offset,
                                                 BdrvRequestFlags flags)
{
    return -EPERM;
}

static int coroutine_fn vmicache_co_pwrite_zeroes(BlockDriverState *bs,
                                                  int64_t offset, int64_t bytes,
                                                  BdrvRequestFlags flags)
{
    return -EPERM;
}

static int coroutine_fn vmicache_co_pdiscard(BlockDriverState *bs,
                                             int64_t offset, int64_t bytes)
{
    return -EPERM;
}

static int coroutine_fn vmicache_co_truncate(BlockDriverState *bs,
                                             int64_t offset, bool exact,
                                             PreallocMode prealloc,
                                             BdrvRequestFlags flags,
                                             Error **errp)
{
    error_setg(errp, "A vmicache filter cannot be resized");
    return -ENOTSUP;
}

static void coroutine_fn vmicache_co_drain_begin(BlockDriverState *bs)
{
    BDRVVmicacheState *s = bs->opaque;

    vmicache_queue_pause(&s->queue);
}

static void coroutine_fn vmicache_co_drain_end(BlockDriverState *bs)
{
    BDRVVmicacheState *s = bs->opaque;

    vmicache_queue_resume(&s->queue);
}

static BlockStatsSpecific *vmicache_get_specific_stats(BlockDriverState *bs)
{
    BDRVVmicacheState *s = bs->opaque;
    BlockStatsSpecific *stats = g_new0(BlockStatsSpecific, 1);

    stats->driver = BLOCKDEV_DRIVER_VMICACHE;
    stats->u.vmicache = (BlockStatsSpecificVmicache) {
        .hits = stat64_get(&s->hits),
        .misses = stat64_get(&s->misses),
        .zeroes = stat64_get(&s->zeroes),
        .bytes_hit = stat64_get(&s->bytes_hit),
        .bytes_miss = stat64_get(&s->bytes_miss),
        .bytes_zero = stat64_get(&s->bytes_zero),
        .bytes_filled = stat64_get(&s->queue.bytes_filled),
        .bytes_edge = stat64_get(&s->queue.bytes_edge),
        .bytes_queued = qatomic_read(&s->queue.queued),
        .fills_dropped = stat64_get(&s->queue.dropped),
        .fill_refused = stat64_get(&s->queue.refused),
        .fill_errors = stat64_get(&s->queue.errors),
        .cache_errors = stat64_get(&s->queue.cache_errors),
        .fill_state = qatomic_read(&s->queue.state),
        .first_read_ns = qatomic_read(&s->first_read_ns),
        .trace_dropped = vmicache_trace_dropped(s->trace),
    };
    return stats;
}

static BlockDriver bdrv_vmicache = {
    .format_name                        = "vmicache",
    .instance_size                      = sizeof(BDRVVmicacheState),

    .bdrv_open                          = vmicache_open,
    .bdrv_close                         = vmicache_close,
    .bdrv_reopen_prepare                = vmicache_reopen_prepare,
    .bdrv_check_perm                    = vmicache_check_perm,
    .bdrv_child_perm                    = vmicache_child_perm,

    .bdrv_getlength                     = vmicache_getlength,
    .bdrv_get_specific_stats            = vmicache_get_specific_stats,

    .bdrv_co_preadv_part                = vmicache_co_preadv_part,
    .bdrv_co_pwritev_part               = vmicache_co_pwritev_part,
    .bdrv_co_pwrite_zeroes              = vmicache_co_pwrite_zeroes,
    .bdrv_co_pdiscard                   = vmicache_co_pdiscard,
    .bdrv_co_truncate                   = vmicache_co_truncate,

    .bdrv_co_drain_begin                = vmicache_co_drain_begin,
    .bdrv_co_drain_end                  = vmicache_co_drain_end,

    .has_variable_length                = true,
    .is_filter                          = true,
};

static void bdrv_vmicache_init(void)
{
    bdrv_register(&bdrv_vmicache);
}

block_init(bdrv_vmicache_init);
