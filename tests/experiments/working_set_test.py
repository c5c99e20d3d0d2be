#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The experiment working-set: which blocks reads touch, what an image holds in them, and what images have in common. No boots."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "experiments"))

from suite.blocks import BLOCK, blocks_of, contents_of, digest  # noqa: E402
from suite.box import VMIREPORT  # noqa: E402
from suite.results import Results  # noqa: E402
from suite.working_set import compare_images, contents_file  # noqa: E402


class WorkingSet(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_reads_touch_whole_blocks_once(self):
        reads = numpy.array([(512, 512), (4096 + 100, 4096), (4096, 1)], dtype=[("offset", "i8"), ("bytes", "i8")])
        self.assertEqual(list(blocks_of(reads)), [0, 1, 2])

    def test_contents_are_told_wherever_they_lie_and_zeros_left_out(self):
        a, b, c = (bytes([value]) * BLOCK for value in (1, 2, 3))
        raw, image = self.folder / "raw", self.folder / "image.qcow2"
        raw.write_bytes(a + b + bytes(BLOCK) + a + c)
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], check=True)
        for blocks, contents in (([0, 1, 2, 3], {digest(a), digest(b)}), ([4], {digest(c)}), ([2], set())):
            digests, zstd_bytes = contents_of(image, numpy.array(blocks))
            self.assertEqual(list(digests), sorted(contents))
            self.assertTrue(0 < zstd_bytes < BLOCK, zstd_bytes)

    def test_the_report_says_how_much_of_an_image_another_reads_too(self):
        results = Results("working-set", self.folder, 1, command="test")
        for name, contents in (("one", [1, 2, 3, 4]), ("two", [3, 4, 5])):
            numpy.save(contents_file(self.folder, name), numpy.array(contents, dtype="u8"))
            size = len(contents) * BLOCK
            results.add({"image": name, "boot": 0, "ready_s": 1.0, "requests": 1, "virtual_bytes": 2**30,
                         **{f"{key}_bytes": size for key in ("unique", "read", "common", "union", "zstd")}}, 0.5)
        compare_images(results, self.folder, ["one", "two"])
        results.save()
        plot = self.folder / "plot.png"
        text = subprocess.run([VMIREPORT, results.path, "--plot", plot], stdout=subprocess.PIPE, text=True, check=True).stdout
        self.assertRegex(text, "66.7 %, is that of two in one; the smallest, 50.0 %, that of one in two")
        self.assertEqual([row["all_distinct_bytes"] for row in results.rows], [5 * BLOCK] * 2)
        self.assertGreater(plot.stat().st_size, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
