/*
 * Page cache filter block driver
 *
 * Above a file of this host, answers reads at once with what the host has in
 * memory, in the thread that asks, and passes all other requests on:
 *
 *     cache (qcow2) -> vmipagecache -> file
 *
 * A read by threads or io_uring costs two or more switches between threads; a
 * boot cache is in memory where many VMs start, and a copy is all that its reads
 * need. On file systems that live in memory every read is answered so; on others
 * those that the kernel answers without waiting (RWF_NOWAIT, Linux 4.14).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block_int.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "qemu/stats64.h"

#include <linux/magic.h>
#include <sys/uio.h>
#include <sys/vfs.h>

typedef struct BDRVVmipagecacheState {
    int fd;         /* of the file, beside the node's own; constant */
    int flags;      /* for preadv2; constant */
    bool passing;   /* this kernel or file system cannot: pass all on; atomic */

    /* Counters; the monitor reads them from another thread. */
    Stat64 bytes_at_once, bytes_passed;
} BDRVVmipagecacheState;

static bool lives_in_memory(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 &&
           (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int vmipagecache_open(BlockDriverState *bs, QDict *options, int flags,
                             Error **errp)
{
    BDRVVmipagecacheState *s = bs->opaque;
    BlockDriverState *file;
    int ret;

    s->fd = -1;
    stat64_init(&s->bytes_at_once, 0);
    stat64_init(&s->bytes_passed, 0);
    ret = bdrv_open_file_child(NULL, options, "file", bs, errp);
    if (ret < 0) {
        return ret;
    }
    file = bs->file->bs;
    if (!file->drv || strcmp(file->drv->format_name, "file") ||
        !file->exact_filename[0]) {
        error_setg(errp, "vmipagecache needs a file of this host, and node "
                   "'%s' is '%s'", bdrv_get_node_name(file),
                   bdrv_get_format_name(file));
        return -EINVAL;
    }
    s->fd = qemu_open(file->exact_filename, O_RDONLY, errp);
    if (s->fd < 0) {
        return -errno;
    }
    s->flags = lives_in_memory(s->fd) ? 0 : RWF_NOWAIT;
    /* Whoever asked for no page cache does not mean it to be filled by us. */
    s->passing = file->open_flags & BDRV_O_NOCACHE;

    bs->supported_write_flags = BDRV_REQ_WRITE_UNCHANGED |
        (BDRV_REQ_FUA & file->supported_write_flags);
    bs->supported_zero_flags = BDRV_REQ_WRITE_UNCHANGED |
        ((BDRV_REQ_FUA | BDRV_REQ_MAY_UNMAP | BDRV_REQ_NO_FALLBACK) &
         file->supported_zero_flags);
    return 0;
}

static void vmipagecache_close(BlockDriverState *bs)
{
    BDRVVmipagecacheState *s = bs->opaque;

    if (s->fd >= 0) {
        qemu_close(s->fd);
    }
}

/* Flags may change with the nodes above. */
static int vmipagecache_reopen_prepare(BDRVReopenState *state,
                                       BlockReopenQueue *queue, Error **errp)
{
    return 0;
}

static int64_t vmipagecache_getlength(BlockDriverState *bs)
{
    return bdrv_getlength(bs->file->bs);
}

/* How many bytes from the start were in memory. Errors are left to the node. */
static size_t read_at_once(BDRVVmipagecacheState *s, int64_t offset,
                           int64_t bytes, QEMUIOVector *qiov,
                           size_t qiov_offset)
{
    QEMUIOVector part;
    ssize_t got;

    if (qatomic_read(&s->passing)) {
        return 0;
    }
    qemu_iovec_init_slice(&part, qiov, qiov_offset, bytes);
    do {
        got = preadv2(s->fd, part.iov, MIN(part.niov, IOV_MAX), offset,
                      s->flags);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno != EAGAIN) {
        qatomic_set(&s->passing, true);
    }
    qemu_iovec_destroy(&part);
    return MAX(got, 0);
}

static int coroutine_fn vmipagecache_co_preadv_part(BlockDriverState *bs,
                                                    int64_t offset,
                                                    int64_t bytes,
                                                    QEMUIOVector *qiov,
                                                    size_t qiov_offset,
                                                    BdrvRequestFlags flags)
{
    BDRVVmipagecacheState *s = bs->opaque;
    int64_t done = 0;

    if (qiov && !flags) {
        done = read_at_once(s, offset, bytes, qiov, qiov_offset);
        stat64_add(&s->bytes_at_once, done);
        if (done == bytes) {
            return 0;
        }
    }
    stat64_add(&s->bytes_passed, bytes - done);
    return bdrv_co_preadv_part(bs->file, offset + done, bytes - done, qiov,
                               qiov_offset + done, flags);
}

static int coroutine_fn vmipagecache_co_pwritev_part(BlockDriverState *bs,
                                                     int64_t offset,
                                                     int64_t bytes,
                                                     QEMUIOVector *qiov,
                                                     size_t qiov_offset,
                                                     BdrvRequestFlags flags)
{
    return bdrv_co_pwritev_part(bs->file, offset, bytes, qiov, qiov_offset,
                                flags);
}

static int coroutine_fn vmipagecache_co_pwrite_zeroes(BlockDriverState *bs,
                                                      int64_t offset,
                                                      int64_t bytes,
                                                      BdrvRequestFlags flags)
{
    return bdrv_co_pwrite_zeroes(bs->file, offset, bytes, flags);
}

static int coroutine_fn vmipagecache_co_pdiscard(BlockDriverState *bs,
                                                 int64_t offset, int64_t bytes)
{
    return bdrv_co_pdiscard(bs->file, offset, bytes);
}

static BlockStatsSpecific *vmipagecache_get_specific_stats(BlockDriverState *bs)
{
    BlockStatsSpecific *stats = g_new0(BlockStatsSpecific, 1);
    BDRVVmipagecacheState *s = bs->opaque;

    stats->driver = BLOCKDEV_DRIVER_VMIPAGECACHE;
    stats->u.vmipagecache.bytes_at_once = stat64_get(&s->bytes_at_once);
    stats->u.vmipagecache.bytes_passed = stat64_get(&s->bytes_passed);
    return stats;
}

static BlockDriver bdrv_vmipagecache = {
    .format_name = "vmipagecache",
    .instance_size = sizeof(BDRVVmipagecacheState),
    .is_filter = true,

    .bdrv_open = vmipagecache_open,
    .bdrv_close = vmipagecache_close,
    .bdrv_reopen_prepare = vmipagecache_reopen_prepare,
    .bdrv_child_perm = bdrv_default_perms,
    .bdrv_getlength = vmipagecache_getlength,

    .bdrv_co_preadv_part = vmipagecache_co_preadv_part,
    .bdrv_co_pwritev_part = vmipagecache_co_pwritev_part,
    .bdrv_co_pwrite_zeroes = vmipagecache_co_pwrite_zeroes,
    .bdrv_co_pdiscard = vmipagecache_co_pdiscard,
    .bdrv_get_specific_stats = vmipagecache_get_specific_stats,
};

static void bdrv_vmipagecache_init(void)
{
    bdrv_register(&bdrv_vmipagecache);
}

block_init(bdrv_vmipagecache_init);
