#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Filters in iothreads of their own, and one that moves while it fills."""
import random
import threading
import unittest

from harness import DriverCase, KiB, MiB


class Threads(DriverCase):
    """Two filters in two iothreads, and one that moves between them while it fills."""

    def move(self, program, node, iothread):
        """Moves the node with all below it and the export above it. (A client whose node is not in the main thread when it
        disconnects ends QEMU 7.2's NBD server by an assertion: move back in time.)"""
        program.qmp.command("x-blockdev-set-iothread", {"node-name": node, "iothread": iothread, "force": True})

    def test_two_iothreads_at_once(self):
        bases = [self.base(16 * MiB, name=f"base-{number}", seed=number) for number in (1, 2)]
        caches = [self.cache(base, 4 * KiB, name=f"cache-{number}.qcow2") for number, base in enumerate(bases)]
        nodes = [node for number in (0, 1) for node in self.nodes(bases[number], caches[number], prefix=f"d{number}-", fill=True,
                                                                  quota=64 * MiB, trace=str(self.folder / f"trace-{number}"))]
        program = self.start(nodes, iothreads=("io0", "io1"))
        clients = [program.client(f"d{number}-filter") for number in (0, 1)]
        for number in (0, 1):
            self.move(program, f"d{number}-filter", f"io{number}")
        failures = []

        def reader(number):
            rng = random.Random(number)
            base, client = bases[number], clients[number]
            try:
                for _ in range(3000):
                    size = rng.randrange(1, 32 * KiB)
                    self.assert_reads(client, base.content, rng.randrange(0, base.size - size), size)
            except BaseException as error:  # shown by the test's own thread
                failures.append(error)
        threads = [threading.Thread(target=reader, args=(number,)) for number in (0, 1)]
        for thread in threads:
            thread.start()
        # The monitor asks meanwhile, from the main thread.
        while any(thread.is_alive() for thread in threads):
            program.stats("d0-filter"), program.stats("d1-filter")
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        for number in (0, 1):
            stats = program.settled(f"d{number}-filter")
            self.assert_counters(stats, fill_state="filling", fill_errors=0)
            self.assertGreater(stats["bytes-filled"], 8 * MiB)
            self.move(program, f"d{number}-filter", None)

    def test_a_filter_moves_between_iothreads_while_it_fills(self):
        base = self.base(4 * MiB)
        cache = self.cache(base, 4 * KiB)
        with cache.open("r+b") as file:
            file.truncate(64 * MiB)
        server = self.serve(cache, "delay", delay_write="5ms")
        program = self.start(self.nodes(base, cache, fill=True, quota=256 * MiB, cache_file=server.node()), iothreads=("io0", "io1"))
        client = program.client()
        moved_in_mid_fill = 0
        for offset in range(0, base.size, 32 * KiB):
            self.assert_reads(client, base.content, offset, 32 * KiB)
            if offset % (128 * KiB) == 0:
                moved_in_mid_fill += program.stats()["bytes-queued"] > 0
                self.move(program, "filter", ("io0", "io1", None)[offset // (128 * KiB) % 3])
        self.assertGreater(moved_in_mid_fill, 0)
        self.assert_counters(program.settled(), bytes_filled=base.size, fills_dropped=0, fill_errors=0)
        self.move(program, "filter", None)


if __name__ == "__main__":
    unittest.main()
