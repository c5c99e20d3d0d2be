#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""vmilaunch --warm: caches that are brought to a node before a launch."""
import json
import shutil
import socket
import unittest

from harness import BIN, LaunchCase


class WarmNode(LaunchCase):
    def setUp(self):
        super().setUp()
        # A disk that boots in a tenth of a second.
        self.image = self.folder / "small.raw"
        shutil.copy(BIN.parent / "tests/supervisor/READY.boot", self.image)
        with self.image.open("r+b") as file:
            file.truncate(16 * 2**20)
        self.guest = ["--image", self.image, "--accel", "tcg", "--memory", "16M", "--ready", "serial:READY", "--timeout", "60s",
                      "--cache-dir", self.folder / "store", "--node-dir", self.node_dir]

    def warm(self, *options, expect=0):
        return self.run_command([BIN / "vmilaunch", "--warm", *self.guest, *options], expect)

    def launch(self):
        record = self.folder / "run.h5"
        self.run_command([BIN / "vmilaunch", "--vms", "1", "--output", record, *self.guest])
        return self.read_record(record)[0]["nodes"]

    def kept(self):
        return sorted(path.name for path in (self.node_dir / "cache").glob("*") if path.suffix != ".used")

    def make_cache(self):
        """The store has the image's cache, this node has nothing."""
        self.launch()
        shutil.rmtree(self.node_dir)
        [cache] = (self.folder / "store").glob("*.vmic")
        return cache

    def test_a_launch_finds_what_was_brought(self):
        self.make_cache()
        self.assertIn(", copied", self.warm())
        [said] = json.loads(self.warm("--json"))
        self.assertEqual((said["image"], said["source"]), (str(self.image), "held"))
        self.assertEqual(self.kept(), [said["digest"]])
        nodes = self.launch()
        self.assertEqual((list(nodes.cache_source), list(nodes.payload_bytes)), (["held"], [0]))
        self.assert_nothing_left()

    def test_who_submits_the_next_job_is_told_of_the_node(self):
        self.make_cache()
        shutil.rmtree(self.folder / "store/nodes")
        nodes = [BIN / "vmicache", "nodes", "--image", self.image, "--cache-dir", self.folder / "store"]
        self.assertIn("no node is known", self.run_command(nodes))
        self.warm()
        self.assertEqual(self.run_command(nodes).strip(), socket.gethostname())

    def test_without_a_cache_of_just_this_boot_there_is_nothing_to_bring(self):
        self.assertIn("there is no cache of", self.warm(expect=3))
        self.make_cache()
        self.assertIn("a launch with the same options makes one", self.warm("--machine", "q35", expect=3))
        self.assertEqual(self.kept(), [])
        self.assertEqual(self.warm("--cache", "none"), "")

    def test_a_damaged_cache_is_not_brought(self):
        cache = self.make_cache()
        with cache.open("r+b") as file:
            # Data begin behind the metadata; the guest's first sector is the first of them.
            data = file.read()
            at = data.index(self.image.read_bytes()[:512])
            file.seek(at + 100)
            file.write(bytes([data[at + 100] ^ 1]))
        self.assertIn("cached data are damaged", self.warm(expect=3))
        self.assertEqual(self.kept(), [])
        self.assert_nothing_left()

    def test_what_does_not_fit_is_an_error_with_a_remedy(self):
        self.make_cache()
        self.assertIn("raise --node-budget", self.warm("--node-budget", "4K", expect=4))
        self.assertEqual(self.kept(), [])
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main(verbosity=2)
