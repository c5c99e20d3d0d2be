#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What makes the built QEMU hard to exploit for a guest that found a hole in it."""
import unittest

from tools import BUILT, run


def programs():
    return sorted(BUILT.iterdir())


def modules():
    return sorted((BUILT.parent / "lib/qemu").glob("*.so"))


class Hardening(unittest.TestCase):
    def test_programs_are_position_independent(self):
        for program in programs():
            with self.subTest(program.name):
                self.assertIn("DYN (Position-Independent Executable file)", run("readelf", "-hW", program))

    def test_linkage_tables_are_read_only_before_main_runs(self):
        self.assertTrue(modules())
        for file in programs() + modules():
            with self.subTest(file.name):
                self.assertIn("GNU_RELRO", run("readelf", "-lW", file))
                self.assertRegex(run("readelf", "-dW", file), r"BIND_NOW|FLAGS_1.*\bNOW\b")

    def test_stacks_have_canaries(self):
        for file in programs():
            with self.subTest(file.name):
                self.assertIn("__stack_chk_fail", run("readelf", "--dyn-syms", "-W", file))


if __name__ == "__main__":
    unittest.main(verbosity=2)
