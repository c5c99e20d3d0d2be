#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a guest is: the same at profile and launch, and as its user has asked for it."""
import json
import shutil
import unittest

from harness import BIN, LaunchCase, image


class Guests(LaunchCase):
    def small_image(self):
        disk = self.folder / "small.raw"
        shutil.copy(BIN.parent / "tests/supervisor/READY.boot", disk)
        with disk.open("r+b") as file:
            file.truncate(16 * 2**20)
        return disk

    def launch(self, disk, *options, expect=0):
        return self.run_command(self.vmilaunch("--image", disk, "--vms", 1, "--accel", "tcg", "--ready", "serial:READY", "--timeout", "60s",
                                               "--output", self.folder / "run.h5", *options), expect=expect)

    def test_kernel_arguments_reach_a_disk_boot_and_its_profile(self):
        """The profile, too, is ready only when the guest's kernel prints the argument."""
        self.run_command(self.vmilaunch("--image", image("tiny"), "--vms", 1, "--append", "loglevel=7 vmi.test=here",
                                        "--ready", "serial:Command line: .* vmi.test=here", "--output", self.folder / "run.h5"))
        tables, _ = self.read_record(self.folder / "run.h5")
        self.assertEqual(set(tables["vms"].state), {"ready"})
        self.assertGreater(len(tables["boot_trace"]), 100, "this launch profiled the image")
        self.assert_nothing_left()

    def test_the_record_and_the_plan_name_the_cpu(self):
        disk = self.small_image()
        for options, expected in (((), "max"), (("--cpu", "Nehalem"), "Nehalem")):
            plan = self.launch(disk, "--dry-run", *options)
            self.assertIn(f"CPU {expected}", plan)
            self.assertIn(f"<qemu:arg value='{expected}", plan)
            self.launch(disk, "--cache", "none", *options)
            _, attributes = self.read_record(self.folder / "run.h5")
            self.assertEqual(attributes["cpu_model"], expected)

    def test_a_node_without_the_cpu_is_named_with_what_it_lacks(self):
        command = self.vmilaunch("--image", self.small_image(), "--vms", 2, "--accel", "tcg", "--cpu", "Skylake-Server",
                                 "--output", self.folder / "run.h5", ranks=2)
        out = self.run_command(command, expect=4)
        self.assertRegex(out, "rank 0 on .*'Skylake-Server'.* lacks .*avx512f")
        self.assert_nothing_left()

    def test_a_cache_of_another_cpu_is_used_with_a_warning(self):
        disk = self.small_image()
        self.assertNotIn("instead of", self.launch(disk, "--cpu", "qemu64"))
        out = self.launch(disk)
        self.assertNotIn("profile:", out)
        self.assertIn("CPU 'qemu64' instead of 'max'", out)

    def test_a_cache_of_another_machine_is_used_with_a_warning(self):
        disk, cache = self.small_image(), self.folder / "small.vmic"
        self.run_command([BIN / "vmicache", "build", "--image", disk, "--output", cache, "--accel", "tcg", "--ready", "serial:READY",
                          "--settle", "0s"])
        facts = json.loads(self.run_command([BIN / "vmicache", "info", "--json", cache]))
        self.assertEqual(facts["facts"]["cpu_model"], "max")
        self.assertNotIn("instead of", self.launch(disk, "--cache", cache))
        self.assertIn("machine 'pc' instead of 'q35'", self.launch(disk, "--cache", cache, "--machine", "q35"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
