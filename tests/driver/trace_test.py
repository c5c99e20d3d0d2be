#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The trace file says what was read, as docs/trace-format.md has it."""
import random
import struct
import time
import unittest

from harness import DriverCase, KiB, MiB
from tools import wait_until

HIT, MISS, ZERO, QUEUED, ERROR = 1, 2, 4, 8, 16


def read_trace(path):
    """Header fields, and (submit_ns, complete_ns, offset, bytes, flags) of every whole record."""
    data = path.read_bytes()
    magic, version, header, record, reserved, realtime, monotonic = struct.unpack_from("<8sIIIIQQ", data)
    assert (magic, version, header, record, reserved) == (b"VMITRACE", 1, 40, 32, 0)
    count = (len(data) - header) // record
    return realtime, monotonic, [struct.unpack_from("<QQQII", data, header + number * record) for number in range(count)]


class Trace(DriverCase):
    def setUp(self):
        super().setUp()
        self.image = self.base(4 * MiB, holes=[(MiB, 2 * MiB)])
        self.file = self.cache(self.image)
        self.trace = self.folder / "trace"

    def start_traced(self, **options):
        return self.start(self.nodes(self.image, self.file, trace=str(self.trace), **options))

    def test_records_are_the_requests_in_order(self):
        rng = random.Random(7)
        reads = [(rng.randrange(0, MiB - 8 * KiB), rng.randrange(1, 8 * KiB)) for _ in range(20000)]
        before = time.monotonic_ns()
        program = self.start_traced()
        client = program.client()
        for offset, size in reads:
            self.assert_reads(client, self.image.content, offset, size)
        program.quit()
        realtime, monotonic, records = read_trace(self.trace)
        after = time.monotonic_ns()
        self.assertEqual([record[2:] for record in records], [(offset, size, MISS) for offset, size in reads])
        self.assertTrue(before <= monotonic <= after and abs(realtime - time.time_ns()) < 600 * 10**9)
        times = [moment for record in records for moment in record[:2]]
        self.assertEqual(times, sorted(times), "one request after the other")
        self.assertTrue(monotonic <= times[0] and times[-1] <= after)

    def test_flags_say_who_served(self):
        program = self.start_traced(fill=True, quota=64 * MiB)
        client = program.client()

        def read(offset, size):
            self.assert_reads(client, self.image.content, offset, size)
            program.settled()
        read(MiB - 8 * KiB, 4 * KiB)
        read(MiB - 8 * KiB, 12 * KiB)
        read(0, 512)
        read(0, 4 * KiB)
        program.quit()
        _, _, records = read_trace(self.trace)
        self.assertEqual(records[0][2:], (MiB - 8 * KiB, 4 * KiB, MISS))
        self.assertEqual(sorted(record[2:] for record in records[1:4]),
                         [(MiB - 8 * KiB, 4 * KiB, HIT), (MiB - 4 * KiB, 4 * KiB, MISS), (MiB, 4 * KiB, ZERO)])
        self.assertEqual(len({record[0] for record in records[1:4]}), 1, "one request came at one time")
        self.assertEqual([record[2:] for record in records[4:]], [(0, 512, MISS), (0, 4 * KiB, HIT)])

    def test_hits_in_the_queue_and_failures_are_marked(self):
        with self.file.open("r+b") as file:
            file.truncate(64 * MiB)
        server = self.serve(self.file)
        node = {"driver": "blkdebug", "image": self.image.node(), "inject-error": [
            {"event": "none", "iotype": "read", "errno": 5, "sector": 3 * MiB // 512}]}
        program = self.start(self.nodes(node, self.file, trace=str(self.trace), fill=True, quota=256 * MiB, cache_file=server.node()))
        client = program.client()
        server.freeze()
        self.assert_reads(client, self.image.content, 0, 4 * KiB)
        self.assert_reads(client, self.image.content, 512, KiB)
        with self.assertRaises(Exception):
            client.pread(4 * KiB, 3 * MiB)
        server.thaw()
        program.settled()
        program.quit()
        self.assertEqual([record[2:] for record in read_trace(self.trace)[2]],
                         [(0, 4 * KiB, MISS), (512, KiB, HIT | QUEUED), (3 * MiB, 4 * KiB, MISS | ERROR)])

    def test_bytes_by_flag_are_the_counters(self):
        program = self.start_traced(fill=True, quota=2 * MiB)
        client = program.client()
        rng = random.Random(11)
        for _ in range(3000):
            size = rng.randrange(1, 64 * KiB)
            self.assert_reads(client, self.image.content, rng.randrange(0, self.image.size - size), size)
        stats = program.settled()
        program.quit()
        _, _, records = read_trace(self.trace)
        for flag, number, size in ((HIT, "hits", "bytes-hit"), (MISS, "misses", "bytes-miss"), (ZERO, "zeroes", "bytes-zero")):
            chosen = [record for record in records if record[4] & flag]
            self.assertEqual((len(chosen), sum(record[3] for record in chosen)), (stats[number], stats[size]))
        self.assert_counters(stats, trace_dropped=0)

    def test_a_killed_qemu_leaves_what_was_written(self):
        program = self.start_traced()
        client = program.client()
        for offset in range(0, MiB, KiB):
            self.assert_reads(client, self.image.content, offset, KiB)
        wait_until(lambda: self.trace.stat().st_size == 40 + 1024 * 32, "the trace's file to grow while QEMU runs")
        program.kill()
        self.assertEqual([record[2] for record in read_trace(self.trace)[2]], list(range(0, MiB, KiB)))

    def test_an_old_file_is_overwritten(self):
        self.trace.write_bytes(bytes(MiB))
        program = self.start_traced()
        self.assert_reads(program.client(), self.image.content, 0, 512)
        program.quit()
        self.assertEqual(self.trace.stat().st_size, 72)


if __name__ == "__main__":
    unittest.main()
