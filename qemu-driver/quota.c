/*
 * The quota of the boot cache filter: how long a fill could make the cache file
 *
 * Notes on the design and implementation:
 *
 * Fills are written one at a time, and qcow2 has all that it allocated in the
 * file when a write returns. So before a fill the file's length is known, and
 * what the fill can add is, in clusters: its data, unless it is zero; an L2 table for each stretch
 * of the disk that it touches; refcount blocks for these and for themselves;
 * and, when the refcount table cannot point to these blocks, a larger table and
 * its own blocks, which qcow2 puts past all that the old table could cover
 * (alloc_refcount_block() and qcow2_refcount_area()). The L1 table was made
 * with the image and does not grow.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/qcow2.h"
#include "quota.h"

int coroutine_fn vmicache_reclaim(BlockDriverState *cache)
{
    BDRVQcow2State *q = cache->opaque;
    int64_t length = bdrv_getlength(cache->file->bs);
    int64_t last;
    int ret = 0;

    if (length < 0) {
        return length;
    }
    qemu_co_mutex_lock(&q->lock);
    last = ((int64_t)q->max_refcount_table_index + 1) * q->refcount_block_size;
    for (int64_t cluster = DIV_ROUND_UP(length, q->cluster_size);
         cluster < last && ret >= 0; cluster++) {
        uint64_t refcount;

        ret = qcow2_get_refcount(cache, cluster, &refcount);
        if (ret >= 0 && refcount) {
            ret = qcow2_update_cluster_refcount(cache, cluster, refcount, true,
                                                QCOW2_DISCARD_NEVER);
        }
    }
    qemu_co_mutex_unlock(&q->lock);
    return ret;
}

int64_t vmicache_worst_length(BlockDriverState *cache, int64_t offset,
                              int64_t bytes, bool zero)
{
    BDRVQcow2State *q = cache->opaque;
    int64_t length = bdrv_getlength(cache->file->bs);
    int64_t cluster = q->cluster_size;
    int64_t table_reach = cluster * q->l2_size;
    int64_t last = offset + bytes - 1;
    int64_t end, added;

    if (length < 0) {
        return length;
    }
    end = DIV_ROUND_UP(length, cluster);
    added = (zero ? 0 : last / cluster - offset / cluster + 1) +
            last / table_reach - offset / table_reach + 1;
    added += DIV_ROUND_UP(added, q->refcount_block_size - 1) + 1;

    if (end + added > (int64_t)q->refcount_table_size * q->refcount_block_size) {
        int64_t start = ROUND_UP(end + added + 1, q->refcount_block_size);
        uint64_t blocks;

        qcow2_refcount_metadata_size(start, cluster, q->refcount_order, true,
                                     &blocks);
        end = start + blocks - start / q->refcount_block_size +
              DIV_ROUND_UP((blocks + DIV_ROUND_UP(blocks, 2)) *
                           REFTABLE_ENTRY_SIZE, cluster);
    }
    return (end + added) * cluster;
}
