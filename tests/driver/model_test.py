#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Random reads of the filter and reads and writes of an overlay above it, each checked against a model in memory."""
import random
import unittest

import nbd

from harness import DriverCase, KiB, MiB
from tools import STOCK, VARIANT, held_bytes, run

SIZES = (1, 511, 512, 513, 1024, 4096, 4096, 4096, 4097, 16 * KiB, 64 * KiB)
# Three phases on each of four caches: 204,000 in all.
OPERATIONS = 1700 if VARIANT else 17000


class Model(DriverCase):
    """Cold and filling, full, and warm; one test for each kind of cache."""

    def phase(self, program, base, model, rng, reads_only=False):
        """OPERATIONS operations; the bytes that the filter's own client asked for."""
        filter_client, overlay_client = program.client(), program.client("overlay", writable=True)
        pending = []
        asked = count = 0
        while count < OPERATIONS:
            size = rng.choice(SIZES) if rng.random() < 0.95 else rng.randrange(1, 300 * KiB)
            offset = rng.randrange(0, base.size - size)
            if rng.random() < 0.6:
                offset &= ~4095
            kind = rng.random()
            if kind < 0.5:
                # Several at once, near each other; they go on while the next operations run.
                for _ in range(8):
                    near = min(max(0, offset + rng.randrange(-16 * KiB, 16 * KiB)), base.size - size)
                    buffer = nbd.Buffer(size)
                    pending.append((near, size, buffer, filter_client.aio_pread(buffer, near)))
                    asked += size
                    count += 1
                if len(pending) > 64:
                    self.finish(filter_client, base, pending)
            elif kind < 0.85 or reads_only:
                self.assert_reads(overlay_client, model, offset, size)
                count += 1
            else:
                data = rng.randbytes(size)
                overlay_client.pwrite(data, offset)
                model[offset:offset + size] = data
                count += 1
        self.finish(filter_client, base, pending)
        return asked

    def finish(self, client, base, pending):
        while client.aio_in_flight():
            client.poll(-1)
        for offset, size, buffer, cookie in pending:
            self.assertTrue(client.aio_command_completed(cookie))
            if buffer.to_bytearray() != base.content[offset:offset + size]:
                self.fail(f"{size} bytes at {offset} differ from the base's")
        pending.clear()

    def check(self, seed, cluster, granularity=4 * KiB, **options):
        rng = random.Random(seed)
        base = self.base(32 * MiB, holes=[(5 * MiB, 9 * MiB), (20 * MiB + 512 * 8, 20 * MiB + 512 * 40), (30 * MiB, 32 * MiB)], seed=seed)
        model = bytearray(base.content)
        cache = self.cache(base, cluster, **options)
        overlay = self.overlay(cache)

        def start(**more):
            return self.start(self.nodes(base, cache, overlay=overlay, **more))
        # Full in mid-course, then without a bound, then read only.
        for quota in (6 * MiB, 256 * MiB, None):
            filling = {"fill": True, "quota": quota, "granularity": granularity} if quota else {}
            program = start(**filling, trace=str(self.folder / "trace"))
            asked = self.phase(program, base, model, rng)
            stats = program.settled()
            self.assertGreaterEqual(stats["bytes-hit"] + stats["bytes-miss"] + stats["bytes-zero"], asked)
            self.assert_counters(stats, cache_errors=0, fill_errors=0,
                                 fill_state="off" if not quota else stats["fill-state"])
            program.quit()
            if quota:
                self.assertLessEqual(cache.stat().st_size, quota)
            self.assert_right(cache, base.path)
        self.assertGreater(held_bytes(cache), 8 * MiB // (10 if VARIANT else 1))
        copy = self.folder / "copy.raw"
        run(STOCK / "qemu-img", "convert", "-O", "raw", overlay, copy)
        self.assertTrue(copy.read_bytes() == model, "the guest's disk is what was written to it")

    def test_clusters_of_512_bytes(self):
        self.check(1, 512, 512)

    def test_clusters_of_4_kib(self):
        self.check(2, 4 * KiB)

    def test_clusters_of_64_kib(self):
        self.check(3, 64 * KiB)

    def test_subclusters(self):
        self.check(4, 64 * KiB, extended_l2="on")


if __name__ == "__main__":
    unittest.main()
