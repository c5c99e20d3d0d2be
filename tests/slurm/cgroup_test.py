#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A cluster that tracks and confines jobs by cgroups, as most sites' do: proctrack/cgroup and task/cgroup, of version 1."""
import os
import pathlib
import shutil
import unittest

from support import HERE, SlurmCase, contained, processes_with, wait_until

SITE = HERE.parent.parent / "slurm/site"
MOUNTED = pathlib.Path("/sys/fs/cgroup")


def missing():
    """What this machine lacks for such a cluster; empty: nothing."""
    if os.geteuid() != 0:
        return "slurmd makes cgroups as root alone"
    needed = [MOUNTED / name for name in ("freezer", "cpuset", "memory")]
    lacking = [str(path) for path in needed if not os.access(path / "cgroup.procs", os.W_OK)]
    return f"no cgroups of version 1 at {', '.join(lacking)}" if lacking else ""


def cgroups(pid):
    """Of a process, by controller."""
    lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {name: path for _, names, path in (line.split(":", 2) for line in lines) for name in names.split(",")}


def allowed_cpus(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(line.split()[1] for line in status.splitlines() if line.startswith("Cpus_allowed_list"))


@unittest.skipIf(missing() and os.environ.get("CI") != "true", missing())
class SlurmCgroup(SlurmCase):
    cluster_options = {"nodes": 2, "cpus": 2, "proctrack": "cgroup", "task_plugin": "cgroup"}

    more_environment = {}

    def login(self):
        return {**super().login(), **self.more_environment}

    def hold(self):
        self.record = self.folder / "run.h5"
        running = self.submit(self.srun("--cpus-per-task=1", "--mem=500", *self.launch("--hold", "--output", self.record, vms=2, cache="none"), nodes=2))
        running.wait_for_line("holding", 60)
        return running, self.cluster.ask("squeue", "--noheader", "--format=%i").split()[-1]

    def emulators(self):
        """The two QEMUs of the held launch."""
        found = [pid for pid, command in processes_with(str(self.image)).items() if "qemu-system" in command.split()[0]]
        self.assertEqual(len(found), 2)
        return found

    def test_vms_have_the_jobs_cpus_and_memory_and_go_with_it(self):
        running, job = self.hold()
        emulators = self.emulators()
        for pid in emulators:
            own = cgroups(pid)
            for controller in ("freezer", "cpuset", "memory"):
                self.assertIn(f"/job_{job}/step_0", own[controller])
            cpus = (MOUNTED / "cpuset" / own["cpuset"].lstrip("/") / "cpuset.cpus").read_text().strip()
            self.assertEqual((allowed_cpus(pid), len(cpus)), (cpus, 1))
            memory = MOUNTED / "memory" / own["memory"].lstrip("/").split("/step_")[0] / "memory.limit_in_bytes"
            self.assertEqual(int(memory.read_text()), 500 * 2**20)
        self.cluster.ask("scancel", job)
        running.wait(40)
        self.assert_nothing_left()
        self.assertEqual(self.assert_record_is_closed(self.record)[1]["complete"], 1)

    def test_a_cancelled_step_leaves_no_process_and_the_next_launch_sweeps_its_files(self):
        running, job = self.hold()
        emulators = self.emulators()
        self.cluster.ask("scancel", f"{job}.0")  # the cgroup is killed, supervisors and all
        running.wait(40)
        wait_until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in emulators), 15, "the end of the VMs")
        self.assertTrue(self.record.with_name("run.h5.journal").exists())
        self.run_as_user(self.srun("--mem=500", *self.launch("--output", self.folder / "next.h5", vms=2, cache="none"), nodes=2))
        self.assert_nothing_left()

    def test_a_cancelled_step_leaves_nothing_where_an_epilog_sweeps(self):
        # The nodes' folders are those that the cluster's prolog says to tasks; epilogs are not told.
        epilog = self.tools / "epilog"
        shutil.copy(SITE / "epilog.sh", self.tools)
        epilog.write_text(f'#!/bin/sh\nVMILAUNCH_NODE_DIR={self.node_dirs}/$SLURMD_NODENAME exec {self.tools}/epilog.sh\n')
        epilog.chmod(0o755)
        self.addCleanup(self.cluster.configure, "")
        for name, environment, configuration in (("the user's", {"SLURM_TASK_EPILOG": str(epilog)}, ""), ("of tasks", {}, f"TaskEpilog={epilog}"),
                                                 ("of jobs", {}, f"Epilog={epilog}")):
            with self.subTest(name):
                self.more_environment = environment
                self.cluster.configure(configuration)
                running, job = self.hold()
                self.cluster.ask("scancel", f"{job}.0")
                running.wait(40)
                wait_until(lambda: not self.cluster.ask("squeue", "--noheader").strip(), 30, "the job's epilog to end")
                self.assert_nothing_left()
                self.assertTrue(self.record.with_name("run.h5.journal").exists())
                self.record.with_name("run.h5.journal").unlink()

    def test_a_launch_larger_than_the_cgroup_is_refused(self):
        out = self.run_as_user(self.srun("--mem=100", *self.launch("--output", self.folder / "run.h5", vms=2, cache="none"), nodes=2), expect=4)
        self.assertIn("the VMs do not fit", out)
        self.assertIn("cgroup", out)
        self.assert_nothing_left()


if __name__ == "__main__":
    contained()
    unittest.main(verbosity=2)
