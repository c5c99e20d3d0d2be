#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments of a fill: the cache opens, has nothing worse than leaks, equals the base, and fills on."""
import random
import unittest

import nbd

from harness import DriverCase, KiB, MiB
from tools import STOCK, VARIANT, held_bytes, run

KILLS = 10 if VARIANT else 50


class Killed(DriverCase):
    def test_a_killed_fill_leaves_a_cache_that_is_right(self):
        rng = random.Random(13)
        base = self.base(16 * MiB, holes=[(4 * MiB, 5 * MiB)])
        partly_filled = 0
        for number in range(KILLS):
            cluster = rng.choice((512, 4 * KiB, 64 * KiB))
            with self.subTest(number=number, cluster=cluster):
                cache = self.cache(base, cluster)
                # Small caches of tables, so that they reach the file while it is filled.
                tables = {"l2-cache-size": 4 * cluster, "refcount-cache-size": 4 * cluster} if number % 4 else {}
                self.fill_until_killed(base, cache, rng, tables)
                self.assert_at_most_leaks(cache)
                self.assert_equal_images(cache, base.path)
                held = held_bytes(cache)
                partly_filled += 0 < held < 15 * MiB
                if number % 2:
                    run(STOCK / "qemu-img", "check", "-r", "leaks", cache)
                self.fill_on(base, cache, rng.choice((2 * MiB, 64 * MiB)), held)
                self.assert_at_most_leaks(cache)
                self.assert_equal_images(cache, base.path)
                run(STOCK / "qemu-img", "check", "-r", "leaks", cache)
        self.assertGreaterEqual(partly_filled, KILLS // 10)

    def fill_until_killed(self, base, cache, rng, tables):
        program = self.filling(base, cache, cache_options=tables)
        client = program.client()
        # A moment that the fill's progress sets, not the clock: on a busy machine nothing may have been filled by any time.
        enough = cache.stat().st_size + rng.randrange(10 * MiB)
        while cache.stat().st_size < enough:
            size = rng.randrange(1, 100000)
            client.aio_pread(nbd.Buffer(size), rng.randrange(0, base.size - size))
            while client.aio_in_flight() > 8:
                client.poll(-1)
        program.kill()

    def assert_at_most_leaks(self, cache):
        """qemu-img check ends with 0, or 3 when clusters leak and nothing else is wrong."""
        out = run(STOCK / "qemu-img", "check", "--output=json", cache, expect=None)
        self.assertNotIn('"corruptions"', out)
        self.assertNotIn("ERROR", out)

    def fill_on(self, base, cache, quota, held):
        before = cache.stat().st_size
        program = self.filling(base, cache, quota=quota)
        self.read_all(program.client(), base.content)
        stats = program.settled()
        self.assert_adds_up(stats, base.size)
        self.assertGreaterEqual(stats["bytes-hit"], held)
        program.quit()
        self.assertLessEqual(cache.stat().st_size, max(quota, before))
        if quota > base.size:
            self.assertEqual(held_bytes(cache), 15 * MiB)


if __name__ == "__main__":
    unittest.main()
