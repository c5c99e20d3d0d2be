#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A cache that fails, by injected errors and by a real full disk, stops being filled, is counted, and never harms a read."""
import os
import subprocess
import unittest

from harness import DriverCase, KiB, MiB
from tools import STOCK, allocated, held, held_bytes, run


def failing(path, iotype, errno, **rule):
    """A file whose reads or writes fail."""
    return {"driver": "blkdebug", "image": {"driver": "file", "filename": str(path)},
            "inject-error": [{"event": "none", "iotype": iotype, "errno": errno, **rule}]}


class Faults(DriverCase):
    def test_the_first_failed_write_stops_filling_and_no_read_fails(self):
        base = self.base(8 * MiB)
        for name, errno in (("EIO", 5), ("ENOSPC", 28)):
            for cluster in (512, 4 * KiB, 64 * KiB):
                with self.subTest(error=name, cluster=cluster):
                    cache = self.cache(base, cluster, name=f"{name}-{cluster}.qcow2")
                    program = self.filling(base, cache, cache_file=failing(cache, "write", errno))
                    client = program.client()
                    for _ in range(2):
                        self.read_all(client, base.content)
                        stats = program.settled()
                    self.assert_counters(stats, fill_state="failed", fill_errors=1, bytes_filled=0, bytes_miss=2 * base.size - stats["bytes-hit"])
                    self.assertGreater(stats["fills-dropped"], 0)
                    program.quit()
                    self.assertRegex(program.errors, "node 'filter' stops filling its cache: (Input/output error|No space left on device)")

    def test_writes_that_fail_in_mid_fill_leave_a_cache_that_is_right(self):
        base = self.base(8 * MiB)
        # The third write of each kind that qcow2 knows.
        for event in ("write_aio", "l2_update", "l2_alloc_write", "refblock_update_part", "refblock_alloc_write", "cluster_alloc",
                      "refblock_load"):
            with self.subTest(event=event):
                cache = self.cache(base, 512, name=f"{event}.qcow2")
                node = {"driver": "blkdebug", "image": {"driver": "file", "filename": str(cache)},
                        "set-state": [{"event": event, "state": 1, "new_state": 2}, {"event": event, "state": 2, "new_state": 3}],
                        "inject-error": [{"event": event, "state": 3, "errno": 5, "once": True}]}
                program = self.filling(base, cache, cache_file=node)
                client = program.client()
                for _ in range(2):
                    self.read_all(client, base.content, 192 * KiB)
                stats = program.settled()
                self.assert_adds_up(stats, 2 * base.size)
                self.assert_counters(stats, fill_state="failed", fill_errors=1)
                program.quit()
                run(STOCK / "qemu-img", "check", "-r", "leaks", cache, expect=None)

    def test_hits_that_fail_are_served_by_the_base(self):
        base = self.base(2 * MiB)
        cache = self.cache(base, 64 * KiB)
        program = self.filling(base, cache)
        self.read_all(program.client(), base.content)
        program.quit()
        node = {"driver": "blkdebug", "image": {"driver": "file", "filename": str(cache)},
                "inject-error": [{"event": "read_aio", "errno": 5}]}
        for fill in (False, True):
            with self.subTest(fill=fill):
                program = self.start(self.nodes(base, cache, cache_file=node, fill=fill, quota=64 * MiB))
                client = program.client()
                for offset in range(0, base.size, 64 * KiB):
                    self.assert_reads(client, base.content, offset, 64 * KiB)
                self.assert_counters(program.settled(), hits=0, cache_errors=32, misses=32, bytes_miss=base.size, bytes_filled=0)
                program.quit()

    def test_a_cache_whose_tables_cannot_be_read_is_served_by_the_base(self):
        base = self.base(2 * MiB)
        cache = self.cache(base, 4 * KiB)
        program = self.filling(base, cache)
        self.read_all(program.client(), base.content)
        program.quit()
        node = {"driver": "blkdebug", "image": {"driver": "file", "filename": str(cache)},
                "inject-error": [{"event": "l2_load", "errno": 5}]}
        for fill in (False, True):
            with self.subTest(fill=fill):
                program = self.start(self.nodes(base, cache, cache_file=node, fill=fill, quota=64 * MiB))
                client = program.client()
                self.read_all(client, base.content)
                stats = program.settled()
                self.assertGreater(stats["cache-errors"], 0)
                self.assert_counters(stats, hits=0, bytes_miss=base.size, bytes_filled=0)
                program.quit()

    def test_a_read_only_cache_is_read_and_said_not_to_fill(self):
        base = self.base()
        cache = self.cache(base)
        program = self.filling(base, cache)
        self.read_all(program.client(), base.content[:MiB])
        program.quit()
        before = cache.read_bytes()
        program = self.filling(base, cache, read_only=True)
        self.read_all(program.client(), base.content)
        self.assert_counters(program.settled(), fill_state="failed", fill_errors=1, bytes_filled=0, bytes_hit=MiB, bytes_miss=3 * MiB)
        program.quit()
        self.assertRegex(program.errors, "node 'filter' does not fill its cache, which is read-only")
        self.assertEqual(cache.read_bytes(), before)

    def test_a_disk_that_is_really_full(self):
        base = self.base(16 * MiB)
        for cluster in (512, 4 * KiB, 64 * KiB):
            with self.subTest(cluster=cluster):
                mount = self.folder / f"small-{cluster}"
                mount.mkdir()
                self.mount(mount, "3m")
                cache = self.cache(base, cluster, folder=mount)
                program = self.filling(base, cache)
                client = program.client()
                for _ in range(3):
                    self.read_all(client, base.content)
                    stats = program.settled()
                self.assert_counters(stats, fill_state="failed", fill_errors=1)
                self.assert_adds_up(stats, 3 * base.size)
                program.quit()
                self.assertGreater(held_bytes(cache), 2 * MiB)
                run(STOCK / "qemu-img", "check", "-r", "leaks", cache, expect=None)

    def test_a_trace_on_a_full_disk_ends_and_reads_go_on(self):
        base = self.base()
        cache = self.cache(base)
        mount = self.folder / "small"
        mount.mkdir()
        self.mount(mount, "8k")
        program = self.start(self.nodes(base, cache, trace=str(mount / "trace")))
        client = program.client()
        for offset in range(0, base.size, 4 * KiB):
            self.assert_reads(client, base.content, offset, 4 * KiB)
        self.assert_counters(program.stats(), misses=1024)
        # The trace ends behind the reads: by the time that the node is gone.
        program.quit()
        self.assertRegex(program.errors, "trace '.*' ends here: No space left on device")
        self.assertLessEqual((mount / "trace").stat().st_size, 8 * KiB)

    def mount(self, folder, size):
        try:
            run("mount", "-t", "tmpfs", "-o", f"size={size}", "vmi", folder)
        except AssertionError as error:
            if os.environ.get("CI") == "true":
                raise
            self.skipTest(f"needs to mount a tmpfs: {error}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(folder)], check=True)


if __name__ == "__main__":
    unittest.main()
