#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The filter vmipagecache above a file: what it reads, and which reads it spares the file's node."""
import pathlib
import random
import unittest

from harness import DriverCase, KiB, MiB
from tools import STOCK, run


class PageCache(DriverCase):
    def in_memory(self, name):
        """A path on a file system that lives in memory."""
        path = pathlib.Path(f"/dev/shm/{self.folder.name}-{name}")
        self.addCleanup(path.unlink, missing_ok=True)
        return path

    def pages(self, file, read_only=True, **options):
        return {"driver": "vmipagecache", "node-name": "pages", "read-only": read_only,
                "file": {"driver": "file", "filename": str(file), "node-name": "below", **options}}

    def read_at_random(self, client, content, count=200):
        """The bytes read; pieces of any length at any place."""
        rng, total = random.Random(5), 0
        for _ in range(count):
            offset = rng.randrange(len(content))
            size = min(rng.randrange(1, 300 * KiB), len(content) - offset)
            self.assert_reads(client, content, offset, size)
            total += size
        return total

    def test_a_file_in_memory_is_read_without_its_node(self):
        image = self.base(4 * MiB, holes=[(MiB, 2 * MiB)])
        path = self.in_memory("plain")
        path.write_bytes(image.content)
        program = self.start([self.pages(path)])
        total = self.read_at_random(program.client("pages"), image.content)
        # The server of the export reads whole sectors.
        stats = program.stats("pages")
        self.assertGreaterEqual(stats["bytes-at-once"], total)
        self.assertEqual(stats["bytes-passed"], 0)

    def test_a_file_on_disk_reads_as_it_is_whoever_serves_it(self):
        image = self.base(4 * MiB, holes=[(MiB, 2 * MiB)])
        program = self.start([self.pages(image.path)])
        total = self.read_at_random(program.client("pages"), image.content)
        stats = program.stats("pages")
        self.assertGreaterEqual(stats["bytes-at-once"] + stats["bytes-passed"], total)

    def test_who_wants_no_page_cache_gets_none(self):
        image = self.base(MiB)
        program = self.start([self.pages(image.path, cache={"direct": True})])
        self.read_all(program.client("pages"), image.content)
        stats = program.stats("pages")
        self.assertEqual(stats["bytes-at-once"], 0)
        self.assertEqual(stats["bytes-passed"], MiB)

    def test_what_was_written_through_it_is_read_at_once(self):
        path = self.in_memory("written")
        path.write_bytes(bytes(MiB))
        program = self.start([self.pages(path, read_only=False)])
        client = program.client("pages", writable=True)
        content, rng = bytearray(MiB), random.Random(6)
        for _ in range(100):
            offset, size = rng.randrange(0, MiB - 64 * KiB), rng.randrange(1, 64 * KiB)
            if rng.random() < 0.2:
                client.zero(size, offset)
                content[offset:offset + size] = bytes(size)
            else:
                content[offset:offset + size] = rng.randbytes(size)
                client.pwrite(content[offset:offset + size], offset)
            self.assert_reads(client, content, 0, MiB)
        self.assertGreaterEqual(program.stats("pages")["bytes-at-once"], 100 * MiB)
        program.quit()
        self.assertEqual(path.read_bytes(), content)

    def test_the_end_of_a_file_that_is_no_multiple_of_a_sector(self):
        path = self.in_memory("odd")
        path.write_bytes(b"x" * 1300)
        program = self.start([self.pages(path)])
        client = program.client("pages")
        self.assertEqual(client.get_size(), 1536)
        self.assertEqual(client.pread(1536, 0), b"x" * 1300 + bytes(236))

    def test_a_cache_in_memory_below_the_boot_cache_filter(self):
        image = self.base(4 * MiB)
        path = self.in_memory("cache.qcow2")
        run(STOCK / "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=4k", image.path, path)
        program = self.start([{"driver": "qcow2", "node-name": "cache", "read-only": True, "file": self.pages(path)},
                              {"driver": "vmicache", "node-name": "filter", "file": "cache", "read-only": True}])
        self.read_all(program.client("filter"), image.content)
        self.assert_counters(program.stats(), bytes_hit=image.size, misses=0)
        stats = program.stats("pages")
        self.assertEqual(stats["bytes-passed"], 0)
        self.assertGreater(stats["bytes-at-once"], image.size)  # the tables of qcow2 too

    def test_only_files_of_this_host_are_taken(self):
        program = self.start([{"driver": "null-co", "size": MiB, "node-name": "null"}])
        message = program.qmp.error("blockdev-add", {"driver": "vmipagecache", "node-name": "pages", "file": "null"})
        self.assertIn("vmipagecache needs a file of this host, and node 'null' is 'null-co'", message)
        message = program.qmp.error("blockdev-add", self.pages(self.folder / "missing"))
        self.assertIn("No such file", message)


if __name__ == "__main__":
    unittest.main()
