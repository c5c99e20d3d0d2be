#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What ends jobs early: after each, no node has a process, socket or file of the launch left, and there is a record."""
import os
import pathlib
import signal
import time
import unittest

from support import GIVEN_UP, SlurmCase, contained, processes_with, wait_until


class EndedCase(SlurmCase):
    def hold(self, *options, srun=()):
        """A launch on four nodes that holds its VMs; returns it and its job's number."""
        self.record = self.folder / "run.h5"
        command = self.srun(*srun, *self.launch("--hold", "--output", self.record, *options, cache="none"))
        running = self.submit(command)
        running.wait_for_line(f"holding|{GIVEN_UP}", 150)
        if self.slurm_refused(running):
            self.assertEqual(running.wait(30), 4, running.output)
            running = self.submit(command)
        running.wait_for_line("holding", 60)
        return running, self.cluster.ask("squeue", "--noheader", "--format=%i").split()[-1]

    def processes_of(self, node):
        """All that Slurm started on this node and what that started, by pid."""
        found = processes_with(f"{self.node_dirs}/{node}/")
        for pid, command in processes_with("").items():
            try:
                if f"SLURMD_NODENAME={node}\0" in pathlib.Path(f"/proc/{pid}/environ").read_text(errors="replace"):
                    found[pid] = command
            except OSError:
                continue
        return found

    def rank_on(self, node):
        return next(pid for pid in self.processes_of(node) if pathlib.Path(f"/proc/{pid}/comm").read_text() == "vmilaunch\n")

    def check_end(self, running, complete=None, status=None, seconds=40):
        running.wait(seconds)
        self.assert_nothing_left()
        tables, attributes = self.assert_record_is_closed(self.record)
        self.assertEqual(len(tables["vms"]), 8)
        self.assertEqual(set(tables["vms"].state), {"ready"})
        if complete is not None:
            self.assertEqual(attributes["complete"], complete, running.output)
        if status is not None:
            self.assertEqual((running.process.returncode, attributes["exit_status"]), (status, status), running.output)
        return attributes


class SlurmCancelled(EndedCase):
    def test_scancel_of_the_job(self):
        running, job = self.hold()
        self.cluster.ask("scancel", job)
        self.check_end(running, complete=1)

    def test_scancel_of_the_step(self):
        running, job = self.hold()
        self.cluster.ask("scancel", f"{job}.0")  # SIGKILL without a SIGTERM before it
        self.check_end(running, complete=0)

    def test_a_signal_that_the_user_asked_for_before_the_end(self):
        running, _ = self.hold(srun=("--time=2", "--signal=INT@80"))  # 40 s after the start, or up to a minute later
        self.check_end(running, complete=1, status=130, seconds=120)

    def test_the_time_limit(self):
        running, job = self.hold(srun=("--time=1",))
        # Slurm 22.05 gives no SLURM_JOB_END_TIME: the launch ends on the SIGTERM that comes with the limit.
        self.check_end(running, complete=1, seconds=150)
        wait_until(lambda: self.cluster.job(job)["JobState"] == "TIMEOUT", 30, "the job to have timed out")

    def test_the_end_that_slurm_announces(self):
        for status, options, seconds in ((124, ["--ready", "serial:never"], 15), (0, ["--hold"], 45)):
            with self.subTest(options=options):
                record = self.folder / f"{status}.h5"
                soon = int(time.time()) + seconds
                out = self.run_as_user(self.srun("env", f"SLURM_JOB_END_TIME={soon}", *self.launch(*options, "--output", record, cache="none")),
                                       expect=status)
                if status:
                    self.assertIn("SLURM_JOB_END_TIME", out)
                self.assert_nothing_left()
                _, attributes = self.read_record(record)
                self.assertEqual((attributes["complete"], attributes["exit_status"]), (1, status))

    def test_requeue_runs_the_launch_again_and_keeps_both_records(self):
        script = self.folder / "job.sh"
        command = " ".join(f"'{word}'" for word in self.launch("--hold", cache="none"))
        script.write_text(f"#!/bin/sh\nexec srun --mpi=pmix {command}\n")
        out = self.run_as_user(["sbatch", "--parsable", "--requeue", "--nodes=4", "--ntasks-per-node=1", "--time=5", f"--chdir={self.folder}",
                                "--open-mode=append", "--output=job.txt", script])
        job, log = out.strip(), self.folder / "job.txt"
        wait_until(lambda: log.exists() and log.read_text().count("holding") == 1, 60, "the first run")
        self.cluster.ask("scontrol", "requeue", job)
        wait_until(lambda: log.read_text().count("holding") == 2, 180,
                   lambda: f"the second run:\n{log.read_text()}\n{self.cluster.ask('scontrol', 'show', 'job', job)}")
        self.cluster.ask("scancel", job)
        self.assert_nothing_left(30)
        for name in (f"vmilaunch-{job}.h5", f"vmilaunch-{job}-restart1.h5"):
            tables, _ = self.assert_record_is_closed(self.folder / name)
            self.assertEqual(len(tables["vms"]), 8)


class SlurmKilled(EndedCase):
    def test_a_rank(self):
        running, _ = self.hold()
        os.kill(self.rank_on("n2"), signal.SIGKILL)
        attributes = self.check_end(running, complete=1)
        self.assertIn("rank 2 on node n2 is gone", attributes["error"])

    def test_the_first_rank(self):
        running, _ = self.hold()
        os.kill(self.rank_on("n0"), signal.SIGKILL)
        self.check_end(running, complete=0)

    def test_srun(self):
        running, job = self.hold()
        os.kill(running.process.pid, signal.SIGKILL)
        running.wait(10)
        # Slurm may let the tasks of a lost srun run on; their job still has an end.
        self.cluster.ask("scancel", "--quiet", job)
        self.check_end(running)

    def test_a_slurmd(self):
        running, job = self.hold()
        self.cluster.kill_daemon("n3")
        try:
            # Slurm gives the node up and ends the job; nobody is left on n3 who could end the rank there.
            self.check_end(running, complete=1, seconds=90)
        finally:
            self.cluster.start_node("n3")
        wait_until(lambda: self.cluster.job(job)["JobState"] == "NODE_FAIL", 60, "the job to have failed with its node")
        wait_until(lambda: self.cluster.idle_nodes() == 4, 60, "the node to be back")

    def test_a_node_and_what_it_left_is_swept_by_the_next_launch(self):
        running, _ = self.hold()
        self.cluster.kill_daemon("n1")
        lost = self.processes_of("n1")
        self.assertTrue(any("qemu-system" in command for command in lost.values()), lost)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in lost:
                os.kill(pid, number)
        running.wait(90)

        def survivors():
            return {node: left for node in ("n0", "n2", "n3") if (left := self.processes_of(node))}
        wait_until(lambda: not survivors(), 15, lambda: f"the end of {survivors()}")
        _, attributes = self.assert_record_is_closed(self.record)
        self.assertIn("rank 1 on node n1 is gone", attributes["error"])
        self.assertTrue([path for path in (self.node_dirs / "n1").rglob("*") if path.is_file()], "an overlay, as after a loss of power")
        self.cluster.start_node("n1")
        wait_until(lambda: self.cluster.idle_nodes() == 4, 60, "the node to be back")
        self.run_as_user(self.srun(*self.launch("--output", self.folder / "second.h5", cache="none")))
        self.assert_nothing_left()


if __name__ == "__main__":
    contained()
    unittest.main(verbosity=2)
