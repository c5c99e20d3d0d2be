#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the base's server is asked, cold, warm and at half the quota: the driver's counters against the server's log."""
import random
import unittest

from harness import DriverCase, KiB, MiB


class Served(DriverCase):
    def setUp(self):
        super().setUp()
        self.image = self.base(32 * MiB)
        rng = random.Random(17)
        # What a guest reads in pages, with a few that are smaller; one in three is read again.
        self.reads = []
        for _ in range(1500):
            if rng.random() < 0.05:
                self.reads.append((rng.randrange(0, self.image.size - 4096) & ~511, 512 * rng.randrange(1, 8)))
            else:
                self.reads.append((rng.randrange(0, self.image.size - 128 * KiB) & ~4095, 4096 * rng.randrange(1, 16)))
        self.reads += [rng.choice(self.reads) for _ in range(500)]
        sectors = {sector for offset, size in self.reads for sector in range(offset // 512, (offset + size) // 512)}
        self.unique = 512 * len(sectors)
        self.total = sum(size for _, size in self.reads)

    def run_list(self, cache, overlay, **options):
        """The counters and the bytes that the server was asked for after the nodes were open, for the list read in the overlay."""
        server = self.serve(self.image.path)
        program = self.start(self.nodes(server.node(), cache, overlay=overlay, **options))
        client = program.client("overlay")
        at_open = server.bytes_served()
        for offset, size in self.reads:
            self.assert_reads(client, self.image.content, offset, size)
        stats = program.settled()
        served = server.bytes_served() - at_open
        program.quit()
        self.assertEqual(server.bytes_served() - at_open, served, "closing asks the base for nothing")
        self.assert_adds_up(stats, self.total)
        self.assertEqual(served, stats["bytes-miss"] + stats["bytes-edge"])
        return stats, served

    def test_cold_reads_cost_the_base_what_they_read_and_warm_ones_nothing(self):
        for cluster, granularity in ((512, 512), (4 * KiB, 4 * KiB), (512, 4 * KiB)):
            with self.subTest(cluster=cluster, granularity=granularity):
                cache = self.cache(self.image, cluster, name=f"{cluster}-{granularity}.qcow2")
                overlay = self.overlay(cache, f"overlay-{cluster}-{granularity}.qcow2")
                _, served = self.run_list(cache, overlay, fill=True, quota=64 * MiB, granularity=granularity, queue_size=64 * MiB)
                self.assertLessEqual(served, 1.02 * self.unique)
                for warm in ({"fill": True, "quota": 64 * MiB, "granularity": granularity}, {}):
                    stats, served = self.run_list(cache, overlay, **warm)
                    self.assertEqual(served, 0)
                    self.assert_counters(stats, bytes_hit=self.total, misses=0, zeroes=0, bytes_filled=0)

    def test_half_the_working_set(self):
        quota = self.unique // 2
        for cluster in (512, 4 * KiB, 64 * KiB):
            with self.subTest(cluster=cluster):
                cache = self.cache(self.image, cluster, name=f"{cluster}.qcow2")
                overlay = self.overlay(cache, f"overlay-{cluster}.qcow2")
                stats, _ = self.run_list(cache, overlay, fill=True, quota=quota)
                self.assert_counters(stats, fill_state="full")
                self.assertLessEqual(cache.stat().st_size, quota)
                again, _ = self.run_list(cache, overlay)
                self.assertGreaterEqual(again["bytes-hit"], quota // 4)


if __name__ == "__main__":
    unittest.main()
