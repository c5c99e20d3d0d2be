/*
 * What the boot cache filter has learnt about which layer holds which bytes
 *
 * Notes on the design and implementation:
 *
 * Asking qcow2 costs a lock and a table lookup for each read, and asking a base
 * behind a network costs a round trip. Both answers keep: the base never
 * changes, and nothing is ever taken out of the cache while the filter has it
 * open (it does not share the permission to write). So they are asked once and
 * remembered, a byte for each unit, which is a cluster of the cache, in pages
 * that are allocated when they are first needed.
 *
 * A cache that is filled is asked for all that it holds when it is opened: later
 * the question would wait for qcow2's lock while the writer writes metadata, and
 * delay a read by as long as that takes.
 *
 * "Not in the cache" is the one fact that does not keep, as the cache fills. To
 * act on it when it is stale means to read from the base what the cache holds
 * too: the same bytes.
 *
 * Used only in the node's AioContext; not locked. What runs between two yields
 * is atomic.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/qcow2.h"
#include "qemu/units.h"
#include "knowledge.h"

#define PAGE_UNITS 4096

/* How far ahead of a request the layers are asked; their answers are runs. */
#define CACHE_WINDOW (1 * MiB)
#define BASE_WINDOW (32 * MiB)

struct VmicacheKnowledge {
    int64_t length;     /* constant */
    int64_t unit;       /* constant, a power of two */
    bool surveyed;      /* where nothing is known, the cache holds nothing */
    uint8_t **pages;    /* of PAGE_UNITS facts each; NULL: nothing is known */
    int64_t n_pages;    /* constant */
};

VmicacheKnowledge *vmicache_knowledge_new(int64_t length, int64_t unit)
{
    VmicacheKnowledge *k = g_new0(VmicacheKnowledge, 1);

    k->length = length;
    k->unit = unit;
    k->n_pages = DIV_ROUND_UP(length, unit * PAGE_UNITS);
    k->pages = g_new0(uint8_t *, k->n_pages);
    return k;
}

void vmicache_knowledge_free(VmicacheKnowledge *k)
{
    if (!k) {
        return;
    }
    for (int64_t i = 0; i < k->n_pages; i++) {
        g_free(k->pages[i]);
    }
    g_free(k->pages);
    g_free(k);
}

unsigned vmicache_facts(const VmicacheKnowledge *k, int64_t offset)
{
    int64_t unit = offset / k->unit;
    const uint8_t *page = k->pages[unit / PAGE_UNITS];

    return page ? page[unit % PAGE_UNITS] : 0;
}

bool vmicache_all_cached(const VmicacheKnowledge *k, int64_t offset,
                         int64_t end)
{
    int64_t last = DIV_ROUND_UP(end, k->unit);

    for (int64_t unit = offset / k->unit; unit < last; unit++) {
        const uint8_t *page = k->pages[unit / PAGE_UNITS];

        if (!page || (page[unit % PAGE_UNITS] &
                      (VMICACHE_CACHED | VMICACHE_UNREADABLE)) !=
                     VMICACHE_CACHED) {
            return false;
        }
    }
    return true;
}

int64_t vmicache_unit_start(const VmicacheKnowledge *k, int64_t offset)
{
    return QEMU_ALIGN_DOWN(offset, k->unit);
}

int64_t vmicache_unit_end(const VmicacheKnowledge *k, int64_t offset)
{
    return MIN(QEMU_ALIGN_DOWN(offset, k->unit) + k->unit, k->length);
}

/* All units that [offset, end) touches: loses @clear and gets @set. */
static void note(VmicacheKnowledge *k, int64_t offset, int64_t end,
                 unsigned clear, unsigned set)
{
    int64_t last = DIV_ROUND_UP(MIN(end, k->length), k->unit);

    for (int64_t unit = offset / k->unit; unit < last; unit++) {
        uint8_t **page = &k->pages[unit / PAGE_UNITS];

        if (!*page) {
            *page = g_malloc0(PAGE_UNITS);
        }
        (*page)[unit % PAGE_UNITS] &= ~clear;
        (*page)[unit % PAGE_UNITS] |= set;
    }
}

void vmicache_now_cached(VmicacheKnowledge *k, int64_t offset, int64_t bytes)
{
    note(k, offset, offset + bytes, VMICACHE_UNCACHED, VMICACHE_CACHED);
}

void vmicache_now_noted(VmicacheKnowledge *k, int64_t offset, int64_t bytes)
{
    note(k, offset, offset + bytes, 0, VMICACHE_NOTED);
}

/* How much of [offset, end) is whole units; the disk's end cuts the last one. */
static int64_t whole_units_end(const VmicacheKnowledge *k, int64_t end)
{
    return end >= k->length ? k->length : QEMU_ALIGN_DOWN(end, k->unit);
}

/* Asks for all up to @end; when it cannot say, all up to @lost is unreadable. */
static void ask_cache(VmicacheKnowledge *k, BlockDriverState *cache,
                      int64_t offset, int64_t end, int64_t lost,
                      Stat64 *errors)
{
    int64_t window = MIN(MAX(end, offset + CACHE_WINDOW), k->length);
    int64_t n = 0;
    int ret = bdrv_is_allocated(cache, offset, window - offset, &n);
    int64_t whole = whole_units_end(k, offset + n);

    if (ret < 0 || n == 0) {
        stat64_add(errors, 1);
        note(k, offset, lost, 0, VMICACHE_UNREADABLE);
    } else if (whole <= offset) {
        /* A unit in parts: the cache's own read puts them together. */
        note(k, offset, offset + 1, 0, VMICACHE_CACHED);
    } else if (ret) {
        note(k, offset, whole, VMICACHE_UNCACHED, VMICACHE_CACHED);
    } else {
        note(k, offset, whole, 0, VMICACHE_UNCACHED);
    }
}

static void coroutine_fn ask_base(VmicacheKnowledge *k, BlockDriverState *base,
                                  int64_t offset)
{
    int64_t window = MIN(offset + BASE_WINDOW, k->length);
    int64_t zeroes = offset;
    int64_t n;
    int ret;

    if (!base) {
        note(k, offset, window, 0, VMICACHE_ZERO);
        return;
    }
    /* More than one extent only where a unit is zero in several parts. */
    do {
        ret = bdrv_block_status_above(base, NULL, zeroes, window - zeroes, &n,
                                      NULL, NULL);
        if (ret >= 0 && n == 0) {
            /* Past the end of a base that is shorter than the disk. */
            ret = BDRV_BLOCK_ZERO;
            n = window - zeroes;
        }
        if (ret < 0) {
            note(k, offset, offset + 1, 0, VMICACHE_DATA);
            return;
        }
        if (!(ret & BDRV_BLOCK_ZERO)) {
            note(k, offset, zeroes + n, 0, VMICACHE_DATA);
            return;
        }
        zeroes += n;
    } while (whole_units_end(k, zeroes) <= offset);
    note(k, offset, whole_units_end(k, zeroes), 0, VMICACHE_ZERO);
}

void vmicache_survey(VmicacheKnowledge *k, BlockDriverState *cache,
                     Stat64 *errors)
{
    BDRVQcow2State *q = cache->opaque;
    int64_t reach = (int64_t)q->cluster_size * q->l2_size;

    for (int64_t i = 0; i < q->l1_size && i * reach < k->length; i++) {
        int64_t end = MIN((i + 1) * reach, k->length);

        if (!(q->l1_table[i] & L1E_OFFSET_MASK)) {
            continue;
        }
        for (int64_t pos = i * reach; pos < end;) {
            if (vmicache_facts(k, pos)) {
                pos += k->unit;
            } else {
                ask_cache(k, cache, pos, end, end, errors);
            }
        }
    }
    k->surveyed = true;
}

void coroutine_fn vmicache_learn(VmicacheKnowledge *k, BlockDriverState *cache,
                                 int64_t offset, int64_t end, Stat64 *errors)
{
    int64_t pos = QEMU_ALIGN_DOWN(offset, k->unit);

    end = MIN(end, k->length);
    if (vmicache_all_cached(k, pos, end)) {
        return;
    }
    while (pos < end) {
        unsigned facts = vmicache_facts(k, pos);

        if (facts & (VMICACHE_CACHED | VMICACHE_UNREADABLE)) {
            pos += k->unit;
        } else if (!(facts & VMICACHE_UNCACHED) && !k->surveyed) {
            ask_cache(k, cache, pos, end, pos + 1, errors);
        } else if (!(facts & (VMICACHE_ZERO | VMICACHE_DATA))) {
            ask_base(k, bdrv_cow_bs(cache), pos);
        } else {
            pos += k->unit;
        }
    }
}
