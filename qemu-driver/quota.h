/*
 * The quota of the boot cache filter: how long a fill could make the cache file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMICACHE_QUOTA_H
#define VMICACHE_QUOTA_H

#include "block/block_int.h"

/*
 * Frees what the qcow2 node @cache has allocated past the end of its file: a
 * QEMU that was killed in mid-fill can leave such clusters, which nothing refers
 * to. Negative errno on failure.
 */
int coroutine_fn vmicache_reclaim(BlockDriverState *cache);

/*
 * The longest that the file of the qcow2 node @cache could be after
 * [offset, offset + bytes) was written, as zero clusters if @zero, bytes, given
 * that nothing is allocated past the file's end. Negative errno on failure.
 */
int64_t vmicache_worst_length(BlockDriverState *cache, int64_t offset,
                              int64_t bytes, bool zero);

#endif
