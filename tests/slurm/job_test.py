#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Launches as Slurm jobs and steps, on a cluster of four nodes."""
import pwd
import re
import unittest

from support import SlurmCase, contained


class SlurmItself(SlurmCase):
    """What the other tests rely on."""

    def test_a_step_runs_on_all_nodes_as_the_user(self):
        out = self.run_as_user(["srun", "--nodes=4", "--ntasks-per-node=1", "--label", "sh", "-c", "echo $SLURMD_NODENAME $(id -un) $VMILAUNCH_NODE_DIR"])
        for i in range(4):
            self.assertIn(f"{i}: n{i} {self.user} {self.node_dirs}/n{i}", out)


class SlurmLaunch(SlurmCase):
    def check_record(self, path, source, vms=8):
        tables, attributes = self.read_record(path)
        self.assertEqual(list(tables["vms"].state), ["ready"] * vms)
        self.assertEqual(sorted(tables["vms"].node), sorted([0, 1, 2, 3] * (vms // 4)))
        nodes = tables["nodes"].set_index("node").sort_index()
        self.assertEqual(list(nodes.index), [0, 1, 2, 3])
        if source == "held":
            self.assertEqual(list(nodes.cache_source), ["held"] * 4)
            self.assertEqual(list(nodes.wire_bytes), [0] * 4)
        else:
            self.assertEqual(list(nodes.cache_source), ["copied", *["received"] * 3])
            self.assertTrue((nodes.wire_bytes[1:] > 0).all())
        return attributes

    def test_srun_starts_vms_on_all_nodes_and_a_second_job_finds_the_caches(self):
        for source in ("received", "held"):
            record = self.folder / f"{source}.h5"
            out = self.run_as_user(self.srun(*self.launch("--output", record)))
            self.assertIn("8 of 8 VMs ready", out)
            self.assert_nothing_left()
            self.check_record(record, source)
            self.assertEqual(record.stat().st_uid, pwd.getpwnam(self.user).pw_uid)

    def test_mpirun_inside_salloc_does_the_same(self):
        for source in ("received", "held"):
            record = self.folder / f"{source}.h5"
            out = self.run_as_user(["salloc", "--nodes=4", "--ntasks-per-node=1", "--time=5", "mpirun", *self.launch("--output", record)])
            self.assertIn("8 of 8 VMs ready", out)
            self.assert_nothing_left()
            self.check_record(record, source)

    def test_slurm_reports_the_launchs_exit_status(self):
        cases = [
            (2, "--bogus", ["--bogus"]),
            (3, "/no/such", ["--image", "/no/such"]),
            (124, "never says this", ["--timeout", "2s", "--ready", "serial:it never says this"]),
            (1, "powered off", ["--image", self.small_guest("POWEROFF", "off"), "--ready", "serial:never"]),
            (7, "ready", ["--", "sh", "-c", "exit 7"]),
        ]
        for status, expected, options in cases:
            with self.subTest(status=status):
                record = self.folder / f"{status}.h5"
                out = self.run_as_user(self.srun("--job-name", f"exit-{status}", *self.launch("--output", record, *options, cache="none")), expect=status)
                self.assertIn(expected, out)
                self.assert_nothing_left()
                jobs = self.cluster.ask("scontrol", "show", "job", "-o")
                self.assertRegex(jobs, rf"JobName=exit-{status} .*ExitCode={status}:0")

    def test_an_allocation_too_small_is_refused_before_any_vm_starts(self):
        # Eight VMs of 16 MiB, two a node, need about 300 MiB a node.
        salloc = ["salloc", "--nodes=4", "--ntasks-per-node=1", "--time=5"]
        for name, source, command in (
                ("srun", "the step's memory, by ulimit -m", self.srun("--mem=100")),
                ("salloc", "SLURM_MEM_PER_NODE", [*salloc, "--mem=100", *self.srun()]),
                ("per-cpu", "SLURM_MEM_PER_CPU x SLURM_CPUS_ON_NODE", [*salloc, "--mem-per-cpu=50", *self.srun()]),
                ("mpirun", "SLURM_MEM_PER_NODE", [*salloc, "--mem=100", "mpirun"])):
            with self.subTest(name):
                record = self.folder / f"{name}.h5"
                out = self.run_as_user([*command, *self.launch("--output", record)], expect=4)
                for node in range(4):
                    self.assertRegex(out, rf"node n{node}: 2 VMs x \(16 MiB memory \+ \d+ MiB QEMU with tcg .* = \d+ MiB, and there are \d+ MiB \({source}\)")
                needed = re.search(r"ask for --mem=(\d+)M", out).group(1)
                self.assert_nothing_left()
                tables, attributes = self.read_record(record)
                self.assertTrue(tables["vms"].t_spawn.isna().all())
                self.assertEqual(set(tables["phases"].name) & {"cache", "distribute", "start"}, set())
                self.assertEqual(attributes["exit_status"], 4)
                self.assertEqual([path for path in (self.folder / "store").rglob("*") if path.is_file()], [], "nothing was profiled")
        out = self.run_as_user(self.srun(f"--mem={needed}", *self.launch("--output", self.folder / "enough.h5", cache="none")))
        self.assertIn("8 of 8 VMs ready", out)
        self.assertRegex(out, r"share CPUs: node n0: 2 VMs x 1 CPU = 2, and there are 1 \(SLURM_CPUS_ON_NODE\)")
        out = self.run_as_user(self.srun("--mem=100", *self.launch("--overcommit", "all", "--output", self.folder / "all.h5", cache="none")))
        self.assertIn("may not fit", out)

    def test_cpus_are_not_shared_when_the_user_says_so(self):
        launch = self.launch("--overcommit", "none", "--output", self.folder / "run.h5", cache="none")
        self.assertIn("--overcommit cpus", self.run_as_user(self.srun(*launch), expect=4))
        self.run_as_user(self.srun("--cpus-per-task=2", *launch))
        self.assert_nothing_left()


class SlurmOfAUser(SlurmLaunch):
    """Slurm's daemons themselves are the ordinary user's."""

    owner = "user"


if __name__ == "__main__":
    contained()
    unittest.main(verbosity=2)
