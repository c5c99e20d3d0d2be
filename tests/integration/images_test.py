#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A launch of several images: each goes to the nodes that boot it, and to no other."""
import os
import shutil
import unittest

from harness import BIN, LaunchCase

MIB = 2**20


class SeveralImages(LaunchCase):
    def guest(self, name, mib):
        """A disk that boots in a tenth of a second; besides its boot sector so many MiB of it are not zero, nor compress."""
        disk = self.folder / f"{name}.raw"
        shutil.copy(BIN.parent / "tests/supervisor/READY.boot", disk)
        with disk.open("r+b") as file:
            file.seek(MIB)
            file.write(os.urandom(mib * MIB))
            file.truncate(16 * MIB)
        return disk

    def launch(self, images, command):
        """`images`: (name, MiB, VMs) each. Returns the record's tables."""
        record = self.folder / "run.h5"
        words = [word for name, mib, vms in images for word in ("--image", f"{self.guest(name, mib)}:{vms}")]
        self.run_command(command(*words, "--vms", sum(vms for *_, vms in images), "--memory", "16M", "--accel", "tcg", "--cache", "full", "--ready",
                                 "serial:READY", "--timeout", "60s", "--output", record))
        self.assert_nothing_left()
        tables, _ = self.read_record(record)
        self.assertEqual(set(tables["vms"].state), {"ready"})
        return tables

    def assert_about(self, found, mib):
        """So many MiB of content, the chunk of the boot sector and what the stream adds; no more."""
        self.assertGreater(found, mib * MIB)
        self.assertLess(found, (mib + 1) * MIB)

    def test_a_node_receives_the_images_that_it_boots_and_none_else(self):
        images = [("a", 2, 2), ("b", 3, 1), ("c", 5, 3)]  # nodes 0 and 1; 2; 3 to 5
        nodes = self.launch(images, lambda *words: self.vmilaunch(*words, ranks=6))["nodes"].set_index("node").sort_index()
        self.assertEqual(list(nodes.cache_source), ["copied"] + ["received"] * 5)
        self.assertEqual(nodes.wire_bytes[0], 0)
        for node, mib in enumerate([2, 3, 5, 5, 5], start=1):
            self.assert_about(nodes.wire_bytes[node], mib)
        self.assertEqual(list(nodes.payload_bytes), [16 * MIB] * 6)
        # What stays for later launches is what was sent: three files, one of each image (the pretended nodes share their storage).
        self.assertEqual(len([path for path in (self.node_dir / "cache").iterdir() if path.suffix != ".used"]), 3)

    def test_a_node_with_vms_of_two_images_receives_both(self):
        images = [("a", 2, 3), ("b", 3, 1)]  # two VMs a node: the second node has one of each
        nodes = self.launch(images, lambda *words: self.vmilaunch(*words, ranks=2))["nodes"].set_index("node").sort_index()
        self.assertEqual(list(nodes.cache_source), ["copied", "received"])
        self.assert_about(nodes.wire_bytes[1], 2 + 3)
        self.assertEqual(list(nodes.payload_bytes), [16 * MIB, 32 * MIB])

    def test_a_node_without_vms_receives_nothing(self):
        nodes = self.launch([("a", 2, 2)], lambda *words: self.vmilaunch(*words, ranks=3))["nodes"].set_index("node").sort_index()
        self.assertEqual(list(nodes.cache_source), ["copied", "received", "none"])
        self.assertEqual((nodes.wire_bytes[2], nodes.payload_bytes[2]), (0, 0))

    def test_ranks_of_one_node_open_what_their_leader_has(self):
        images = [("a", 2, 1), ("b", 3, 2)]
        tables = self.launch(images, lambda *words: ["mpirun", "-n", 3, *self.vmilaunch(*words)])
        self.assertEqual(list(tables["nodes"].cache_source), ["copied"])
        self.assertEqual(list(tables["nodes"].payload_bytes), [32 * MIB])


if __name__ == "__main__":
    unittest.main(verbosity=2)
