#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The SPANK plugin: srun --vmi-image=IMG."""
import os
import pathlib
import shutil
import unittest

from support import BIN, HERE, SlurmCase, contained, processes_with, wait_until

PLUGIN = BIN.parent / "lib/slurm/spank_vmilaunch.so"
SITE = HERE.parent.parent / "slurm/site"


def said(output):
    """What the tasks said, without srun's word of waiting for nodes."""
    return [line for line in output.splitlines() if not line.startswith("srun:")]


@unittest.skipUnless(PLUGIN.exists() or "CI" in os.environ, "the plugin is not built: libslurm-dev is missing")
class PluginCase(SlurmCase):
    cluster_options = {"nodes": 2, "plugins": f"optional {PLUGIN}\n"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        shutil.copy(SITE / "epilog.sh", cls.tools)  # the user may not get to where the sources are

    def setUp(self):
        super().setUp()
        self.store = self.folder / "store"
        self.configure()

    def login(self):
        settings = {"accel": "tcg", "memory": "16M", "ready": "serial:READY", "timeout": "60s"}
        return dict(super().login(), **{f"VMILAUNCH_{name.upper()}": value for name, value in settings.items()})

    def configure(self, *arguments, program=None):
        """The plugin's line of plugstack.conf; `arguments` come last and so win."""
        usual = [f"vmilaunch={program or self.tools / 'vmilaunch'}", f"store={self.store}", f"node_dir={self.node_dirs}/%n", f"epilog={self.tools}/epilog.sh"]
        self.cluster.set_plugins(f"optional {PLUGIN} {' '.join([*usual, *arguments])}\n")

    def script(self, text):
        """A program that stands for vmilaunch where only its end matters."""
        path = self.folder / "program"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def build_cache(self):
        """The image's cache in the store, as a launch leaves it there."""
        self.run_as_user(["env", f"VMILAUNCH_CACHE_DIR={self.store}", f"VMILAUNCH_NODE_DIR={self.folder}/first", self.tools / "vmilaunch",
                          "--image", self.image, "--vms", "1", "--output", self.folder / "first.h5"])
        shutil.rmtree(self.folder / "first")

    def step(self, *words):
        return self.srun(f"--vmi-image={self.image}", *words, nodes=2)

    def pools(self):
        """The caches of each node."""
        return [[path.name for path in (self.node_dirs / node / "cache").glob("*") if path.suffix != ".used"] for node in self.cluster.nodes]

    def assert_nodes_up(self):
        self.assertEqual(set(self.cluster.ask("sinfo", "--noheader", "--Node", "--format=%T").split()) - {"idle", "completing", "allocated"}, set())

    def refused(self, command, status=None):
        running = self.submit(command)
        ended = running.wait(60)
        self.assertNotEqual(ended, 0, running.output)
        self.assertIn(ended, (status or ended,), running.output)
        self.assertNotIn("it ran", running.output)
        return running.output


class SlurmSpankOfAUser(PluginCase):
    """Slurm's daemons themselves are the ordinary user's."""

    owner = "user"

    def test_a_step_warms_its_nodes_and_the_launch_in_it_finds_the_caches(self):
        self.build_cache()
        self.run_as_user(self.step("true"))
        warm = self.pools()
        self.assertEqual([len(pool) for pool in warm], [1, 1])
        # Options may come again, as in scripts around srun: the last one counts.
        record = self.folder / "run.h5"
        out = self.run_as_user(self.srun("--vmi-image=/none", f"--vmi-image={self.image}", "--vmi-vms=1", "--vmi-vms=4",
                                         self.tools / "vmilaunch", "--output", record, nodes=2))
        self.assertIn("4 of 4 VMs ready", out)
        self.assertNotIn("not warm", out)
        tables, attributes = self.read_record(record)
        self.assertEqual(attributes["vms"], 4)
        self.assertEqual(list(tables["nodes"].cache_source), ["held"] * 2)
        self.assertEqual(list(tables["nodes"].payload_bytes), [0, 0])
        self.assertEqual(self.pools(), warm)
        self.assert_nothing_left()

    def test_the_end_of_a_job_sweeps_what_its_user_left(self):
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        left = ["sh", "-c", f"folder={self.node_dirs}/$SLURMD_NODENAME/vmilaunch-run-abcdef; mkdir -p $folder; echo '999999999 1 {boot} {os.uname().nodename}' >$folder/owner"]
        self.run_as_user(self.srun(*left, nodes=2))
        wait_until(lambda: not list(self.node_dirs.glob("*/vmilaunch-run-*")), 30, "the removal of what the job left")
        self.configure(f"epilog={self.script('exit 1')}")
        self.run_as_user(self.srun("true", nodes=2))
        self.configure("timeout=1s", f"epilog={self.script('sleep 76')}")
        self.run_as_user(self.srun("true", nodes=1))
        self.cluster.end_jobs()
        self.assert_nodes_up()


class SlurmSpank(SlurmSpankOfAUser):
    """Whoever runs the tests runs the daemons; the jobs are the ordinary user's."""

    owner = None

    def test_help_lists_the_options(self):
        out = self.run_as_user(["srun", "--help"])
        for option in ("--vmi-image=IMG", "--vmi-vms=N", "--vmi-vms-per-node=N", "--vmi-cache=CACHE", "--vmi-warm=yes|no|required"):
            self.assertIn(option, out)

    def test_tasks_get_the_options_as_variables_and_the_users_own_win_over_the_sites(self):
        words = ["sh", "-c", "echo $(id -u) $VMILAUNCH_IMAGE,$VMILAUNCH_VMS,$VMILAUNCH_VMS_PER_NODE,$VMILAUNCH_CACHE,$VMILAUNCH_CACHE_DIR"]
        options = ["--vmi-vms=5", "--vmi-vms-per-node=3", "--vmi-cache=/c.vmic", "--vmi-warm=no"]
        user = os.stat(self.place / "home").st_uid
        out = self.run_as_user(["env", "VMILAUNCH_VMS=7", *self.step(*options, *words)])
        self.assertEqual(said(out), [f"{user} {self.image},,3,/c.vmic,{self.store}"] * 2)
        out = self.run_as_user(["env", "VMILAUNCH_CACHE_DIR=/mine", *self.step(*options, *words)])
        self.assertIn(",/mine\n", out)
        out = self.run_as_user(self.srun("sh", "-c", "echo ${VMILAUNCH_CACHE_DIR-none}", nodes=1))
        self.assertEqual(said(out), ["none"], "a step without --vmi-image is left alone")

    def test_bad_values_are_refused_by_srun(self):
        cases = [
            (["--vmi-vms=many"], "--vmi-vms: 'many' is not a number of VMs; give a whole number from 1 to 1000000"),
            (["--vmi-vms=0"], "--vmi-vms: '0' is not a number of VMs"),
            (["--vmi-warm=maybe"], "--vmi-warm: 'maybe' is not known; say yes, no or required"),
            (["--vmi-image="], "--vmi-image: '' is no image; give its path or URL"),
        ]
        for options, expected in cases:
            with self.subTest(options=options):
                self.assertIn(expected, self.refused(self.step(*options, "echo", "it ran")))
        out = self.refused(self.srun("--vmi-vms=1", "--vmi-warm=required", "echo", "it ran", nodes=1))
        self.assertIn("there is no image; give --vmi-image=IMG", out)

    def test_a_node_that_cannot_be_warmed_says_why_and_the_site_and_the_user_say_what_then(self):
        out = self.run_as_user(self.step("echo", "it ran"))
        self.assertEqual(out.count("it ran"), 2)
        self.assertEqual(out.count(f"there is no cache of '{self.image}' in the store '{self.store}'"), 2)
        self.assertIn("node n1 is not warm: ", out)
        self.assertIn("exit status 3; the step goes on without", out)
        self.configure("required=yes")
        out = self.refused(self.step("echo", "it ran"), status=3)
        self.assertIn("there is no cache of", out)
        self.assertIn("so the step ends (--vmi-warm=no does without)", out)
        self.assertIn("it ran", self.run_as_user(self.step("--vmi-warm=no", "echo", "it ran")))
        self.configure()
        self.configure(program="/no/such")
        self.assertIn("No such file or directory", self.refused(self.step("--vmi-warm=required", "echo", "it ran")))
        self.assertEqual(self.pools(), [[], []])
        self.assert_nodes_up()

    def test_a_program_that_hangs_is_ended_at_the_deadline(self):
        self.configure("timeout=1s", program=self.script("echo 'still looking' >&2; id -ru >&2; trap '' TERM; sleep 76543 & wait; sleep 76543"))
        out = self.run_as_user(self.step("echo", "it ran"))
        self.assertIn("still looking", out)
        self.assertIn(f"\n{os.stat(self.place / 'home').st_uid}\n", out)
        self.assertIn("not done within 1 s; the step goes on without", out)
        wait_until(lambda: not processes_with("sleep 76543"), 10, "the end of what the program started")

    def test_broken_arguments_fail_only_who_uses_the_plugin(self):
        for argument in ("timeout=soon", "nonsense=1", "node_dir=/x/%z"):
            with self.subTest(argument=argument):
                self.configure(argument)
                self.assertIn(f"argument '{argument}' of spank_vmilaunch.so in plugstack.conf", self.refused(self.step("echo", "it ran")))
        self.assertIn("it ran", self.run_as_user(self.srun("echo", "it ran", nodes=2)))
        self.cluster.set_plugins("optional /no/such/spank_vmilaunch.so\n")
        self.assertIn("it ran", self.run_as_user(self.srun("echo", "it ran", nodes=2)))
        self.assert_nodes_up()


if __name__ == "__main__":
    contained()
    unittest.main(verbosity=2)
