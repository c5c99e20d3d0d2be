#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Counters that are exact, and agree with what the base's server was asked; what filling costs the base and the file."""
import unittest

from harness import DriverCase, KiB, MiB
from tools import allocated, held, held_bytes


class Counters(DriverCase):
    def test_hand_made_reads_are_counted_to_the_byte(self):
        # Clusters of 64 KiB; a hole of two of them; an end in mid-cluster.
        base = self.base(MiB + 1536, holes=[(512 * KiB, 640 * KiB)])
        cache = self.cache(base, 64 * KiB)
        program = self.filling(base, cache)
        client = program.client()

        def read(offset, size):
            self.assert_reads(client, base.content, offset, size)
            return program.settled()

        stats = program.stats()
        self.assert_counters(stats, hits=0, misses=0, zeroes=0, bytes_filled=0, first_read_ns=0, fill_state="filling")
        stats = read(4 * KiB, 4 * KiB)
        self.assertGreater(stats["first-read-ns"], 10**18)
        self.assert_counters(stats, hits=0, misses=1, bytes_miss=4 * KiB, bytes_edge=60 * KiB, bytes_filled=64 * KiB)
        stats = read(4 * KiB, 4 * KiB)
        self.assert_counters(stats, hits=1, bytes_hit=4 * KiB, misses=1)
        # From a hit into a miss.
        stats = read(60 * KiB, 8 * KiB)
        self.assert_counters(stats, hits=2, bytes_hit=8 * KiB, misses=2, bytes_miss=8 * KiB, bytes_edge=120 * KiB, bytes_filled=128 * KiB)
        # From a miss into the hole and out of it.
        stats = read(508 * KiB, 136 * KiB)
        self.assert_counters(stats, hits=2, misses=4, bytes_miss=16 * KiB, zeroes=1, bytes_zero=128 * KiB, bytes_edge=240 * KiB,
                             bytes_filled=256 * KiB)
        # One byte on both sides of a boundary, both there.
        stats = read(64 * KiB - 1, 2)
        self.assert_counters(stats, hits=3, bytes_hit=8 * KiB + 2, misses=4)
        # The end of the disk: a part of a cluster.
        stats = read(MiB + 512, 1024)
        self.assert_counters(stats, misses=5, bytes_miss=17 * KiB, bytes_edge=240 * KiB + 512, bytes_filled=256 * KiB + 1536)
        # Everything: three runs that are there, three that are not, and the hole.
        stats = read(0, base.size)
        self.assert_counters(stats, hits=7, misses=7, zeroes=2, bytes_filled=base.size - 128 * KiB, bytes_edge=240 * KiB + 512,
                             fills_dropped=0, fill_refused=0, fill_errors=0, cache_errors=0, trace_dropped=0)
        self.assert_adds_up(stats, 4 * KiB + 4 * KiB + 8 * KiB + 136 * KiB + 2 + 1024 + base.size)

    def test_a_filter_that_does_not_fill_counts_and_changes_nothing(self):
        base = self.base()
        cache = self.cache(base)
        before = cache.read_bytes()
        program = self.start(self.nodes(base, cache))
        client = program.client()
        self.read_all(client, base.content)
        self.read_all(client, base.content)
        self.assert_counters(program.stats(), hits=0, misses=8, bytes_miss=2 * base.size, bytes_edge=0, bytes_filled=0, fill_state="off",
                             fills_dropped=0, fill_refused=0)
        program.quit()
        self.assertEqual(cache.read_bytes(), before)

    def test_failed_reads_are_not_counted(self):
        base = self.base()
        cache = self.cache(base)
        program = self.start(self.nodes({"driver": "blkdebug", "image": base.node(), "inject-error": [
            {"event": "none", "iotype": "read", "errno": 5}]}, cache, fill=True, quota=MiB))
        client = program.client()
        with self.assertRaisesRegex(Exception, "Input/output error"):
            client.pread(4096, 0)
        self.assert_counters(program.settled(), hits=0, misses=0, bytes_miss=0, bytes_filled=0, fills_dropped=1, fill_state="filling")


class Fills(DriverCase):
    def test_zero_extents_cost_no_file_space(self):
        base = self.base(32 * MiB, holes=[(MiB, 31 * MiB)])
        for cluster in (512, 4 * KiB, 64 * KiB):
            with self.subTest(cluster=cluster):
                cache = self.cache(base, cluster, name=f"{cluster}.qcow2")
                program = self.filling(base, cache)
                self.read_all(program.client(), base.content)
                self.assert_counters(program.settled(), bytes_zero=30 * MiB, bytes_miss=2 * MiB, bytes_filled=2 * MiB)
                program.quit()
                self.assertEqual(held(cache), [(0, MiB), (31 * MiB, MiB)])

    def test_zeroes_that_the_base_stores_become_zero_clusters(self):
        base = self.base(8 * MiB)
        content = base.content[:MiB] + bytes(6 * MiB) + base.content[7 * MiB:]
        base.path.write_bytes(content)  # no holes
        cache = self.cache(base, 4 * KiB)
        program = self.filling(base, cache)
        client = program.client()
        self.read_all(client, content)
        self.assert_counters(program.settled(), bytes_miss=8 * MiB, bytes_filled=8 * MiB)
        self.read_all(client, content)
        self.assert_counters(program.settled(), bytes_hit=8 * MiB)
        program.quit()
        self.assertLess(cache.stat().st_size, 2.5 * MiB)
        self.assertEqual([run for run in allocated(cache) if run[2]], [(MiB, 6 * MiB, True)])

    def test_granularity_rounds_fills_to_whole_units(self):
        base = self.base()
        for cluster, granularity, unit in ((512, 512, 512), (512, 4 * KiB, 4 * KiB), (4 * KiB, 512, 4 * KiB), (4 * KiB, 4 * KiB, 4 * KiB),
                                           (4 * KiB, 64 * KiB, 64 * KiB), (64 * KiB, 4 * KiB, 64 * KiB), (512, 2 * MiB, 2 * MiB)):
            with self.subTest(cluster=cluster, granularity=granularity):
                cache = self.cache(base, cluster, name=f"{cluster}-{granularity}.qcow2")
                program = self.filling(base, cache, granularity=granularity)
                # The last sector of one 2 MiB unit and the first of the next.
                self.assert_reads(program.client(), base.content, 2 * MiB - 512, 1024)
                self.assert_counters(program.settled(), bytes_miss=1024, bytes_filled=2 * unit, bytes_edge=2 * unit - 1024)
                program.quit()
                self.assertEqual(held(cache), [(2 * MiB - unit, 2 * unit)])

    def test_the_default_granularity_is_a_page(self):
        base = self.base()
        cache = self.cache(base, 512)
        program = self.filling(base, cache)
        self.assert_reads(program.client(), base.content, 1 * MiB + 512, 512)
        self.assert_counters(program.settled(), bytes_filled=4 * KiB)
        program.quit()
        self.assertEqual(held(cache), [(MiB, 4 * KiB)])

    def test_a_filled_cache_equals_the_base_without_it(self):
        base = self.base(4 * MiB)
        cache = self.cache(base)
        program = self.filling(base, cache)
        self.read_all(program.client(), base.content)
        program.quit()
        self.assertEqual(held_bytes(cache), base.size)
        # From here on the base is another: what is read is what the cache holds.
        with base.path.open("r+b") as file:
            file.write(bytes(base.size))
        program = self.start(self.nodes(base, cache))
        self.read_all(program.client(), base.content)
        self.assert_counters(program.stats(), bytes_hit=base.size, misses=0)
        program.quit()
        base.path.write_bytes(base.content)

    def test_extended_l2_caches_fill_by_subclusters_and_clusters(self):
        base = self.base()
        cache = self.cache(base, 64 * KiB, extended_l2="on")
        program = self.filling(base, cache)
        client = program.client()
        self.assert_reads(client, base.content, 100 * KiB, KiB)
        self.assert_counters(program.settled(), bytes_filled=64 * KiB)
        self.read_all(client, base.content, 96 * KiB)
        before = program.settled()
        self.read_all(client, base.content, 160 * KiB)
        after = program.settled()
        self.assert_counters(after, bytes_filled=base.size, bytes_hit=before["bytes-hit"] + base.size)

    def test_a_base_that_is_shorter_than_the_cache_reads_as_zeroes_past_its_end(self):
        base = self.base(MiB + 512)
        for cluster in (512, 64 * KiB):
            with self.subTest(cluster=cluster):
                cache = self.cache(base, cluster, name=f"{cluster}.qcow2", size=4 * MiB)
                del self.caches[cache]
                content = base.content + bytes(4 * MiB - base.size)
                program = self.filling(base, cache)
                client = program.client()
                for _ in range(2):
                    self.read_all(client, content, 96 * KiB)
                    stats = program.settled()
                self.assert_adds_up(stats, 8 * MiB)
                self.assertGreaterEqual(stats["bytes-zero"], 2 * (4 * MiB - base.size - 64 * KiB))
                program.quit()
                padded = self.folder / f"padded-{cluster}"
                padded.write_bytes(content)
                self.assert_right(cache, padded)


if __name__ == "__main__":
    unittest.main()
