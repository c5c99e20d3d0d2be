#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong: guests that never get ready, killed ranks, signals in every stage, bad input, a changed base."""
import os
import shutil
import signal
import subprocess
import unittest

from harness import BIN, LaunchCase, image, processes_with, wait_until


class NeverReady(LaunchCase):
    def test_a_guest_that_never_gets_ready_times_out_with_its_last_words(self):
        record = self.folder / "run.h5"
        out = self.run_command(self.vmilaunch("--image", image("tiny"), "--vms", 2, "--cache", self.cache_of("tiny"), "--timeout", "20s",
                                              "--append", "loglevel=7", "--ready", "serial:no guest says this", "--output", record, ranks=2),
                               expect=124)
        self.assertIn("no guest says this", out)
        self.assert_nothing_left()
        tables, attributes = self.read_record(record)
        self.assertIn("failed", set(tables["vms"].state))
        self.assertEqual(attributes["exit_status"], 124)
        logs = self.folder / "run.h5.logs"
        kept = sorted(logs.iterdir())
        self.assertTrue(kept, "a failed VM's serial log is kept")
        failed = tables["vms"][tables["vms"].state == "failed"].set_index("name")
        for log in kept:
            self.assertIn("Linux version", log.read_text(errors="replace"))
            self.assertIn(f"its serial log is kept in '{log}'", failed.error[log.stem])
        self.assertIn(str(kept[0]), out)

    def test_keep_going_boots_the_others(self):
        record = self.folder / "run.h5"
        # The third VM's image is no disk that boots.
        blank = self.folder / "blank.raw"
        with blank.open("wb") as file:
            file.truncate(2**20)
        out = self.run_command(self.vmilaunch("--image", f"{image('tiny')}:2", "--image", f"{blank}:1", "--cache", "none", "--keep-going",
                                              "--timeout", "60s", "--output", record), expect=124)
        self.assertIn("2 of 3 VMs ready", out)
        tables, _ = self.read_record(record)
        self.assertEqual(sorted(tables["vms"].state), ["failed", "ready", "ready"])
        self.assertFalse((self.folder / "run.h5.logs").exists(), "a VM that prints nothing leaves no log")
        self.assert_nothing_left()


class Killed(LaunchCase):
    def held_launch(self, ranks):
        running = self.start(self.vmilaunch("--image", image("tiny"), "--vms", 3, "--cache", self.cache_of("tiny"), "--hold", "--ready", "none",
                                            "--output", self.folder / "run.h5", ranks=ranks))
        running.wait_for_line("holding")
        self.assertTrue([line for line in processes_with(str(self.node_dir)).values() if "qemu-system" in line])
        return running

    def test_nothing_outlives_a_killed_rank(self):
        running = self.held_launch(3)
        os.kill(running.rank(2), signal.SIGKILL)
        self.assertNotEqual(running.wait(60), 0)
        self.assert_nothing_left()
        tables, _ = self.assert_record_is_closed(self.folder / "run.h5")
        self.assertEqual(len(tables["vms"]), 3)

    def test_the_first_ranks_supervisor_writes_its_record_when_it_is_killed(self):
        running = self.held_launch(2)
        os.kill(running.rank(0), signal.SIGKILL)
        self.assertNotEqual(running.wait(60), 0)
        self.assert_nothing_left()
        tables, attributes = self.assert_record_is_closed(self.folder / "run.h5")
        self.assertEqual(list(tables["vms"].state), ["ready"] * 3)
        self.assertTrue((tables["vms"].t_ready >= tables["vms"].t_running).all())
        self.assertEqual(tables["phases"].name.iloc[-1], "hold")
        self.assertEqual((attributes["complete"], attributes["outcome"], attributes["vms"]), (0, "unfinished", 3))

    def test_nothing_outlives_the_death_of_all_ranks_and_the_journal_becomes_the_record(self):
        running = self.held_launch(2)
        ranks = [pid for pid in running.children_named("vmilaunch")]
        os.kill(running.process.pid, signal.SIGKILL)
        for pid in ranks:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.assert_nothing_left()
        tables, attributes = self.assert_record_is_closed(self.folder / "run.h5")
        self.assertEqual(len(tables["vms"]), 3)
        self.assertEqual(attributes["complete"], 0)

    def test_when_the_supervisor_is_killed_too_the_user_recovers_the_record(self):
        running = self.held_launch(None)
        shown = self.run_command([BIN / "vmireport", self.folder / "run.h5"])
        self.assertRegex(shown, r"STILL RUNNING, \d+\.\d s since its start")
        self.assertIn("VMs now: 3 ready", shown)
        supervisors = running.children_named("vmi-supervisor")
        for pid in [*supervisors, running.process.pid]:
            os.kill(pid, signal.SIGSTOP)
        for pid in [*supervisors, running.process.pid]:
            os.kill(pid, signal.SIGKILL)
        running.wait(30)
        self.assertIn("the launch was killed", self.run_command([BIN / "vmireport", self.folder / "run.h5"]))
        self.run_command([BIN / "vmireport", "--recover", self.folder / "run.h5.journal"])
        tables, attributes = self.assert_record_is_closed(self.folder / "run.h5")
        self.assertEqual(len(tables["vms"]), 3)
        self.assertEqual(attributes["complete"], 0)
        self.run_command(self.vmilaunch("--image", image("tiny"), "--vms", 1, "--cache", "none", "--ready", "none",
                                        "--output", self.folder / "second.h5"))
        self.assert_nothing_left()

    def test_the_next_launch_sweeps_what_a_killed_supervisor_left(self):
        running = self.held_launch(None)
        processes = [pid for pid, line in processes_with(str(self.node_dir)).items() if "qemu-system" in line]
        supervisors = running.children_named("vmi-supervisor")
        self.assertTrue(supervisors)
        for pid in [running.process.pid, *supervisors]:
            os.kill(pid, signal.SIGKILL)
        running.wait(30)
        self.run_command(self.vmilaunch("--image", image("tiny"), "--vms", 1, "--cache", "none", "--ready", "none",
                                        "--output", self.folder / "second.h5"))
        alive = [pid for pid in processes if pid in processes_with(str(self.node_dir))]
        self.assertEqual(alive, [])
        self.assert_nothing_left()


class Signals(LaunchCase):
    """SIGTERM in each stage: everything is stopped and removed within ten seconds, and the record is there."""

    def interrupt(self, pattern, *options, number=signal.SIGTERM, status=143):
        record = self.folder / "run.h5"
        running = self.start(self.vmilaunch("--image", image("tiny"), "--vms", 2, "--output", record, *options))
        running.wait_for_line(pattern)
        os.kill(running.process.pid, number)
        self.assertEqual(running.wait(10), status, running.output)
        self.assert_nothing_left()
        _, attributes = self.read_record(record)
        self.assertEqual(attributes["exit_status"], status)
        self.assertEqual(attributes["complete"], 1)

    def test_while_profiling(self):
        self.interrupt("looking for the boot cache", "--cache", "auto")

    def test_while_preparing(self):
        self.interrupt("distributing", "--cache", self.cache_of("tiny"))

    def test_while_booting(self):
        self.interrupt("waiting for serial", "--cache", self.cache_of("tiny"))

    def test_while_holding_with_the_keyboard(self):
        self.interrupt("holding", "--cache", "none", "--ready", "none", "--hold", number=signal.SIGINT, status=130)

    def test_while_the_command_runs(self):
        own = f"600.{os.getpid()}"  # other tests sleep too
        self.interrupt("running sleep", "--cache", "none", "--ready", "none", "--", "sleep", own)
        self.assertEqual(processes_with(f"sleep {own} "), {})

    def test_of_mpirun(self):
        running = self.start(self.vmilaunch("--image", image("tiny"), "--vms", 4, "--cache", "none", "--output", self.folder / "run.h5", ranks=2))
        running.wait_for_line("waiting for serial")
        os.kill(running.process.pid, signal.SIGTERM)
        self.assertNotEqual(running.wait(10), 0)
        self.assert_nothing_left()
        tables, _ = self.assert_record_is_closed(self.folder / "run.h5")
        self.assertEqual(len(tables["vms"]), 4)
        self.assertEqual(set(tables["phases"].name) & {"plan", "distribute", "start"}, {"plan", "distribute", "start"})
        self.assertIn("signal 15", " ".join(tables["errors"].text))

    def test_while_distributing(self):
        big = self.folder / "big.raw"
        with big.open("wb") as file:
            for _ in range(384):
                file.write(os.urandom(2**20))  # neither zero nor compressible, so that it takes a while
        record = self.folder / "run.h5"
        running = self.start(self.vmilaunch("--image", big, "--vms", 2, "--cache", "full", "--output", record, ranks=2))
        running.wait_for_line("distributing")
        os.kill(running.rank(1), signal.SIGTERM)
        self.assertEqual(running.wait(20), 143, running.output)
        self.assert_nothing_left()
        self.assertEqual(list((self.node_dir / "cache").iterdir()), [])
        tables, attributes = self.assert_record_is_closed(record)
        self.assertEqual(attributes["exit_status"], 143)
        self.assertEqual(set(tables["phases"].name) & {"distribute", "start"}, {"distribute"})

    def test_of_one_rank_stops_all_and_all_say_why(self):
        record = self.folder / "run.h5"
        running = self.start(self.vmilaunch("--image", image("tiny"), "--vms", 3, "--cache", "none", "--output", record, ranks=3))
        running.wait_for_line("waiting for serial")
        os.kill(running.rank(2), signal.SIGTERM)
        self.assertEqual(running.wait(20), 143, running.output)
        self.assert_nothing_left()
        self.assertRegex(running.output, "error: rank 2 on .*interrupted by Terminated")
        _, attributes = self.assert_record_is_closed(record)
        self.assertEqual((attributes["complete"], attributes["exit_status"]), (1, 143))
        self.assertIn("rank 2", attributes["error"])


class Commands(LaunchCase):
    def test_a_command_runs_once_all_are_ready_and_its_status_is_the_launchs(self):
        out = self.run_command(self.vmilaunch("--image", image("tiny"), "--vms", 2, "--cache", self.cache_of("tiny"), "--output", self.folder / "run.h5",
                                              "--", "sh", "-c", "cat $VMILAUNCH_HOSTS; exit 7"), expect=7)
        self.assertRegex(out, r"(?m)^vm0 \S+ -$")
        self.assertRegex(out, r"(?m)^vm1 \S+ -$")
        self.assert_nothing_left()


class BadInput(LaunchCase):
    def refused(self, status, expected, *options):
        out = self.run_command(self.vmilaunch("--vms", 1, "--output", self.folder / "run.h5", *options), expect=status)
        for text in expected:
            self.assertIn(text, out)
        self.assert_nothing_left()

    def test_each_names_the_thing(self):
        not_a_cache = self.folder / "no.vmic"
        not_a_cache.write_text("this is no cache")
        cases = [
            (3, ["/no/such.qcow2"], "--image", "/no/such.qcow2"),
            (3, ["no.vmic"], "--image", image("tiny"), "--cache", not_a_cache),
            (3, ["/no/such.vmic"], "--image", image("tiny"), "--cache", "/no/such.vmic"),
            (4, ["no-such-qemu"], "--image", image("tiny"), "--qemu", "no-such-qemu"),
            (2, ["--driver qcow2", "cold"], "--image", image("tiny"), "--cache", "cold", "--driver", "qcow2"),
            (2, ["cold", "shared"], "--image", image("tiny"), "--cache", "cold", "--cache-placement", "shared"),
            (4, ["no vmicache driver"], "--image", image("tiny"), "--driver", "vmicache", "--qemu", "/usr/bin/qemu-system-x86_64"),
            (4, ["vmicache"], "--image", image("tiny"), "--cache", "none", "--driver", "vmicache"),
            (4, ["--node-dir"], "--image", image("tiny"), "--cache", "none", "--node-dir", "/proc/no"),
        ]
        for status, expected, *options in cases:
            with self.subTest(options=list(map(str, options))):
                if "--node-dir" in options:
                    command = [word for word in self.vmilaunch("--vms", 1, "--output", self.folder / "run.h5", *options)]
                    position = command.index("--node-dir")
                    del command[position:position + 2]
                    out = self.run_command(command, expect=status)
                    self.assertIn("/proc/no", out)
                else:
                    self.refused(status, expected, *options)

    def test_an_output_that_cannot_be_written_is_found_before_any_vm_starts(self):
        out = self.run_command(self.vmilaunch("--image", image("tiny"), "--vms", 1)[:-2] + ["--image", image("tiny"), "--vms", "1",
                               "--output", "/proc/run.h5"], expect=4)
        self.assertIn("/proc/run.h5", out)

    def test_a_dry_run_starts_nothing(self):
        out = self.run_command(self.vmilaunch("--image", image("tiny"), "--vms", 5, "--cache", "none", "--dry-run", ranks=2))
        self.assertIn("5 VMs on 2 nodes", out)
        self.assertIn("rank 1 on node1: 2 VMs", out)
        self.assertIn(str(image("tiny")), out)
        self.assertEqual(list(self.folder.glob("*.h5*")), [])
        self.assert_nothing_left()


class ChangedBase(LaunchCase):
    def test_a_cache_whose_base_changed_is_refused_and_auto_builds_another(self):
        base = self.folder / "base.qcow2"
        shutil.copy(image("tiny"), base)
        cache = self.folder / "base.vmic"
        self.run_command([BIN / "vmicache", "build", "--image", base, "--output", cache])
        # The first sector of the disk is read by every boot; its last bytes but the signature are the partition table's end.
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 0x55 0 4k", str(base)], check=True, stdout=subprocess.DEVNULL)
        out = self.run_command(self.vmilaunch("--image", base, "--vms", 1, "--cache", cache, "--verify-cache", "full", "--output",
                                              self.folder / "run.h5"), expect=3)
        self.assertIn(str(cache), out)
        self.assertRegex(out, "changed|differs")
        self.assert_nothing_left()


class Store(LaunchCase):
    def test_two_launches_at_once_profile_once_and_a_third_not_at_all(self):
        both = [self.start(self.vmilaunch("--image", image("tiny"), "--vms", 1, "--ready", "serial:login: ",
                                          "--output", self.folder / f"{i}.h5")) for i in (1, 2)]
        for running in both:
            self.assertEqual(running.wait(), 0, running.output)
        listed = self.run_command([BIN / "vmicache", "ls", "--json", "--cache-dir", self.folder / "store"])
        self.assertEqual(listed.count('"path"'), 1, listed)
        out = self.run_command(self.vmilaunch("--image", image("tiny"), "--vms", 1, "--output", self.folder / "3.h5"))
        self.assertNotIn("profiling", out)
        tables, _ = self.read_record(self.folder / "3.h5")
        self.assertEqual(set(tables["vms"].state), {"ready"})
        traces = [len(self.read_record(self.folder / f"{i}.h5")[0]["boot_trace"]) for i in (1, 2, 3)]
        self.assertEqual(sorted(count > 0 for count in traces), [False, False, True])
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main(verbosity=2)
