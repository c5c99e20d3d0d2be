#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Which CPUs VMs run on: the job's, whatever its ranks are bound to."""
import os
import pathlib
import shutil
import unittest

from harness import BIN, LaunchCase, processes_with

MIB = 2**20


class Binding(LaunchCase):
    def setUp(self):
        super().setUp()
        self.cpus = sorted(os.sched_getaffinity(0))
        self.assertGreater(len(self.cpus), 1, "with one CPU there is nothing to tell apart")
        self.image = self.folder / "small.raw"
        shutil.copy(BIN.parent / "tests/supervisor/READY.boot", self.image)
        with self.image.open("r+b") as file:
            file.truncate(16 * MIB)

    def qemu_threads(self):
        """What every thread of this test's VMs may run on."""
        return [os.sched_getaffinity(int(thread.name)) for pid, command in processes_with(str(self.node_dir)).items()
                if "qemu-system" in command.split()[0] for thread in pathlib.Path(f"/proc/{pid}/task").iterdir()]

    def check(self, before, expected):
        for backend in ("libvirt", "qemu"):
            with self.subTest(backend=backend):
                command = self.vmilaunch("--image", self.image, "--vms", 2, "--memory", "16M", "--cache", "none", "--ready", "serial:READY", "--hold",
                                         "--backend", backend, "--output", self.folder / f"{backend}.h5")
                running = self.start([*before, *command])
                running.wait_for_line("holding", 120)
                threads = self.qemu_threads()
                self.assertGreater(len(threads), 3)
                self.assertEqual([cpus for cpus in threads if cpus != expected], [])
                running.process.terminate()
                running.wait(60)
                self.assert_nothing_left()

    def test_vms_stay_on_the_cpus_that_the_launch_was_given(self):
        last = self.cpus[-1]
        self.check(["taskset", "--cpu-list", last], {last})

    def test_vms_get_what_mpirun_has_when_it_binds_ranks_to_cores(self):
        self.check(["mpirun", "-n", "2", "--bind-to", "core"], set(self.cpus))


if __name__ == "__main__":
    unittest.main(verbosity=2)
