/*
 * The quota of the boot cache filter: how long a fill could make the cache file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMICACHE_QUOTA_H
#define VMICACHE_QUOTA_H

#include "block/block_int.h"

/*
 * Where the last cluster ends that the qcow2 node @cache has allocated, bytes.
 * That may be past the end of the file when a QEMU was killed in mid-fill.
 * Negative errno on failure.
 */
int64_t vmicache_allocated_end(BlockDriverState *cache);

/*
 * The longest that the file of the qcow2 node @cache could be after
 * [offset, offset + bytes) was written, bytes, given that nothing is allocated
 * past @allocated_end or the file's end. Negative errno on failure.
 */
int64_t vmicache_worst_length(BlockDriverState *cache, int64_t allocated_end,
                              int64_t offset, int64_t bytes);

#endif
