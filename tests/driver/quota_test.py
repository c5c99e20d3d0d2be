#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The quota bounds the cache's file at every moment, metadata included, and what does not fit is read through."""
import os
import random
import unittest

from harness import DriverCase, KiB, MiB
from tools import held_bytes


class Quota(DriverCase):
    def fill(self, base, cache, quota, reads, watch=16, **options):
        """The counters after these (offset, bytes) were read; the file is looked at now and then."""
        program = self.filling(base, cache, quota=quota, **options)
        client = program.client()
        for number, (offset, size) in enumerate(reads):
            self.assert_reads(client, base.content, offset, size)
            if number % watch == 0:
                self.assertLessEqual(cache.stat().st_size, quota)
        stats = program.settled()
        program.quit()
        self.assertLessEqual(cache.stat().st_size, quota)
        self.assert_adds_up(stats, sum(size for _, size in reads))
        self.assertEqual(held_bytes(cache), stats["bytes-filled"])
        return stats

    def scattered(self, base, count, size, seed=3):
        rng = random.Random(seed)
        return [(rng.randrange(0, base.size - size) & ~511, size) for _ in range(count)]

    def test_sequential_and_scattered_reads_of_twice_the_quota(self):
        base = self.base(16 * MiB)
        for cluster in (512, 4 * KiB, 64 * KiB):
            for name, reads in (("sequential", [(offset, 256 * KiB) for offset in range(0, base.size, 256 * KiB)]),
                                ("scattered", self.scattered(base, 4000, 4 * KiB))):
                with self.subTest(cluster=cluster, reads=name):
                    cache = self.cache(base, cluster, name=f"{name}-{cluster}.qcow2")
                    stats = self.fill(base, cache, 4 * MiB, reads)
                    self.assert_counters(stats, fill_state="full", fill_errors=0)
                    self.assertGreater(stats["fill-refused"], 0)
                    # Full means nearly full: no more is held back than the worst that a fill could add.
                    self.assertGreater(cache.stat().st_size, 3 * MiB)

    def test_quotas_of_every_size_around_what_metadata_needs(self):
        base = self.base(2 * MiB)
        for cluster in (512, 4 * KiB, 64 * KiB):
            empty = self.cache(base, cluster, name=f"empty-{cluster}.qcow2").stat().st_size
            for extra in range(0, 14 * cluster, max(cluster // 2, 512)):
                with self.subTest(cluster=cluster, extra=extra):
                    cache = self.cache(base, cluster, name="cache.qcow2")
                    self.fill(base, cache, empty + extra, self.scattered(base, 20, 512), granularity=512)

    def test_a_quota_below_an_empty_cache_fills_nothing(self):
        base = self.base()
        cache = self.cache(base, 64 * KiB)
        before = cache.stat().st_size
        program = self.filling(base, cache, quota=1)
        self.read_all(program.client(), base.content)
        self.assert_counters(program.settled(), fill_state="full", bytes_filled=0, bytes_miss=base.size)
        program.quit()
        self.assertEqual(cache.stat().st_size, before)

    def test_refcount_tables_that_grow_stay_within_the_quota(self):
        # A refcount table of one 512-byte cluster covers 64 blocks of 256 clusters: it grows at 8 MiB of file.
        base = self.base(24 * MiB)
        grown = 0
        for quota in (8 * MiB - 64 * KiB, 8 * MiB + 512 * KiB, 12 * MiB, 20 * MiB):
            with self.subTest(quota=quota):
                cache = self.cache(base, 512, name=f"{quota}.qcow2")
                reads = [(offset, 512 * KiB) for offset in range(0, base.size, 512 * KiB)]
                stats = self.fill(base, cache, quota, reads, watch=1, granularity=512, queue_size=64 * MiB)
                self.assert_counters(stats, fill_state="full")
                grown += cache.stat().st_size > 8 * MiB
        self.assertEqual(grown, 2)

    def test_a_quota_of_half_the_working_set(self):
        base = self.base(16 * MiB)
        cache = self.cache(base)
        reads = self.scattered(base, 3000, 16 * KiB, seed=5)
        units = {unit for offset, size in reads for unit in range(offset // 4096, (offset + size - 1) // 4096 + 1)}
        quota = len(units) * 4096 // 2
        stats = self.fill(base, cache, quota, reads)
        self.assert_counters(stats, fill_state="full")
        self.assertGreater(stats["bytes-hit"], 0)

    def test_a_later_run_goes_on_within_its_own_quota(self):
        base = self.base(8 * MiB)
        cache = self.cache(base)
        everything = [(offset, 128 * KiB) for offset in range(0, base.size, 128 * KiB)]
        first = self.fill(base, cache, 2 * MiB, everything)
        self.assertEqual(first["fill-state"], "full")
        held = first["bytes-filled"]
        program = self.filling(base, cache, quota=16 * MiB)
        client = program.client()
        self.read_all(client, base.content)
        stats = program.settled()
        self.assert_counters(stats, fill_state="filling", bytes_hit=held, bytes_filled=base.size - held)
        self.read_all(client, base.content)
        self.assert_counters(program.settled(), bytes_hit=held + base.size)

    def test_a_cache_that_is_longer_than_the_quota_is_read_and_not_grown(self):
        base = self.base()
        cache = self.cache(base)
        self.fill(base, cache, 64 * MiB, [(0, 2 * MiB)])
        before = cache.stat().st_size
        stats = self.fill_more(base, cache)
        self.assert_counters(stats, fill_state="full", bytes_hit=2 * MiB, bytes_miss=2 * MiB, bytes_filled=0)
        self.assertEqual(os.path.getsize(cache), before)

    def fill_more(self, base, cache):
        program = self.filling(base, cache, quota=MiB)
        self.read_all(program.client(), base.content)
        stats = program.settled()
        program.quit()
        return stats


if __name__ == "__main__":
    unittest.main()
