#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Filling is behind the reads: a cache that is slow, or stands still, delays no read, and each cluster is filled once."""
import unittest

import nbd

from harness import DriverCase, KiB, MiB
from tools import held, held_bytes


class WriteBehind(DriverCase):
    def slow_cache(self, cache, *filters, room=64 * MiB, **parameters):
        """The cache's file behind a server, which cannot make it longer than `room`."""
        with cache.open("r+b") as file:
            file.truncate(room)
        return self.serve(cache, *filters, **parameters)

    def test_reads_go_on_while_the_cache_stands_still(self):
        base = self.base(8 * MiB)
        origin = self.serve(base.path)
        for cluster in (512, 4 * KiB, 64 * KiB):
            with self.subTest(cluster=cluster):
                cache = self.cache(base, cluster, name=f"{cluster}.qcow2")
                server = self.slow_cache(cache)
                program = self.filling(origin.node(), cache, quota=256 * MiB, cache_file=server.node())
                client = program.client()
                self.assert_reads(client, base.content, 0, 64 * KiB)
                program.settled()
                server.freeze()
                # Into stretches whose metadata is there, is not there, and is being written.
                for offset in range(64 * KiB, 6 * MiB, 64 * KiB):
                    self.assert_reads(client, base.content, offset, 64 * KiB)
                served = origin.bytes_served()
                stats = program.stats()
                self.assert_counters(stats, bytes_miss=6 * MiB, bytes_hit=0, fills_dropped=0)
                self.assertGreater(stats["bytes-queued"], 5 * MiB)
                # Again: the queue has them all.
                for offset in range(64 * KiB, 6 * MiB, 64 * KiB):
                    self.assert_reads(client, base.content, offset, 64 * KiB)
                self.assert_counters(program.stats(), bytes_miss=6 * MiB, bytes_hit=6 * MiB - 64 * KiB)
                self.assertEqual(origin.bytes_served(), served)
                server.thaw()
                self.assert_counters(program.settled(), bytes_filled=6 * MiB, fills_dropped=0, fill_errors=0)
                program.quit()
                server.end()
                self.assertEqual(held(cache), [(0, 6 * MiB)])

    def test_fills_are_dropped_and_counted_when_the_queue_is_full(self):
        base = self.base(8 * MiB)
        cache = self.cache(base)
        server = self.slow_cache(cache)
        program = self.filling(base, cache, quota=256 * MiB, queue_size=MiB, cache_file=server.node())
        client = program.client()
        server.freeze()
        for offset in range(0, 4 * MiB, 64 * KiB):
            self.assert_reads(client, base.content, offset, 64 * KiB)
        stats = program.stats()
        self.assert_counters(stats, bytes_miss=4 * MiB, fills_dropped=48, bytes_queued=MiB, fill_state="filling")
        server.thaw()
        self.assert_counters(program.settled(), bytes_filled=MiB)
        # What was dropped is filled when it is read again.
        for offset in range(0, 4 * MiB, 64 * KiB):
            self.assert_reads(client, base.content, offset, 64 * KiB)
            stats = program.settled()
        self.assert_counters(stats, bytes_filled=4 * MiB, bytes_hit=MiB)

    def test_a_queue_smaller_than_a_unit_holds_one(self):
        base = self.base()
        cache = self.cache(base, 64 * KiB)
        program = self.filling(base, cache, queue_size=1)
        client = program.client()
        for offset in range(0, base.size, 64 * KiB):
            self.assert_reads(client, base.content, offset, 512)
            stats = program.settled()
        self.assert_counters(stats, bytes_filled=base.size, fills_dropped=0)

    def test_closing_writes_what_is_queued(self):
        base = self.base(4 * MiB)
        cache = self.cache(base)
        server = self.slow_cache(cache, "delay", delay_write="10ms")
        program = self.filling(base, cache, quota=256 * MiB, cache_file=server.node())
        self.read_all(program.client(), base.content, 64 * KiB)
        program.quit()
        self.assertEqual(held_bytes(cache), base.size)

    def test_closing_gives_up_at_its_deadline(self):
        base = self.base(8 * MiB)
        cache = self.cache(base)
        # At least 64 fills of 64 KiB apart, a fifth of a second each: more than ten seconds.
        server = self.slow_cache(cache, "delay", delay_write="200ms")
        program = self.filling(base, cache, quota=256 * MiB, drain_timeout=500, cache_file=server.node())
        client = program.client()
        for offset in range(0, base.size, 128 * KiB):
            self.assert_reads(client, base.content, offset, 64 * KiB)
        program.quit()
        server.end()
        self.assertLess(held_bytes(cache), 3 * MiB)

    def test_a_deadline_of_nothing_drops_the_queue(self):
        base = self.base(8 * MiB)
        cache = self.cache(base)
        server = self.slow_cache(cache, "delay", delay_write="50ms")
        program = self.filling(base, cache, quota=256 * MiB, drain_timeout=0, cache_file=server.node())
        self.read_all(program.client(), base.content)
        program.quit()
        server.end()
        self.assertLess(held_bytes(cache), base.size)

    def test_draining_in_mid_fill_loses_nothing(self):
        base = self.base(4 * MiB)
        cache = self.cache(base)
        server = self.slow_cache(cache, "delay", delay_write="5ms")
        nodes = self.nodes(base, cache, fill=True, quota=256 * MiB, cache_file=server.node())
        program = self.start(nodes)
        client = program.client()
        drained_in_mid_fill = 0
        for offset in range(0, base.size, 64 * KiB):
            self.assert_reads(client, base.content, offset, 64 * KiB)
            if offset % (256 * KiB) == 0:
                program.qmp.command("blockdev-reopen", {"options": [nodes[-1]]})
                drained_in_mid_fill += program.stats()["bytes-queued"] > 0
        self.assertGreater(drained_in_mid_fill, 0)
        self.assert_counters(program.settled(), bytes_filled=base.size, fills_dropped=0)

    def test_concurrent_reads_of_one_cluster_fill_it_once(self):
        base = self.base(4 * MiB)
        for cluster in (512, 64 * KiB):
            with self.subTest(cluster=cluster):
                origin = self.serve(base.path)
                cache = self.cache(base, cluster, name=f"{cluster}.qcow2")
                program = self.filling(origin.node(), cache, granularity=64 * KiB)
                client = program.client()
                before = origin.bytes_served()
                origin.freeze()
                buffers = []
                for number in range(64):
                    offset = MiB + number % 4 * 16 * KiB
                    buffers.append((offset, nbd.Buffer(16 * KiB)))
                    client.aio_pread(buffers[-1][1], offset)
                while client.aio_peek_command_completed() == 0 and client.aio_is_processing():
                    client.poll(100)
                origin.thaw()
                while client.aio_in_flight():
                    client.poll(-1)
                for offset, buffer in buffers:
                    self.assertEqual(bytes(buffer.to_bytearray()), base.content[offset:offset + 16 * KiB])
                stats = program.settled()
                self.assertEqual(origin.bytes_served() - before, 64 * KiB)
                self.assertEqual(stats["bytes-miss"] + stats["bytes-edge"], 64 * KiB)
                self.assert_counters(stats, bytes_filled=64 * KiB)
                self.assert_adds_up(stats, MiB)
                program.quit()

    def test_a_base_that_fails_in_mid_fill_fails_those_reads_alone(self):
        base = self.base(MiB)
        cache = self.cache(base, 64 * KiB)
        # The second sector of a cluster cannot be read: the first can, and its fill is dropped.
        node = {"driver": "blkdebug", "image": base.node(), "inject-error": [{"event": "none", "iotype": "read", "errno": 5, "sector": 129}]}
        program = self.filling(node, cache)
        client = program.client()
        self.assert_reads(client, base.content, 64 * KiB, 512)
        self.assert_counters(program.settled(), fills_dropped=1, bytes_filled=0, misses=1)
        with self.assertRaisesRegex(nbd.Error, "Input/output error"):
            client.pread(512, 64 * KiB + 512)
        self.assert_reads(client, base.content, 64 * KiB + 1024, 63 * KiB)
        self.assert_reads(client, base.content, 128 * KiB, 512)
        self.assert_counters(program.settled(), bytes_filled=64 * KiB, fill_state="filling", fill_errors=0)
        program.quit()
        self.assertEqual(held(cache), [(128 * KiB, 64 * KiB)])


if __name__ == "__main__":
    unittest.main()
