#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The main job: a fleet over several nodes from a base that a real NBD server serves, with and without a cache."""
import os
import shutil
import subprocess
import unittest

from harness import BIN, HERE, LaunchCase, image


class Fleet(LaunchCase):
    VMS = 8

    def launch(self, cache):
        record = self.folder / "run.h5"
        url, served_bytes = self.serve(image("tiny"))
        self.run_command(self.vmilaunch("--image", url, "--vms", self.VMS, "--cache", cache, "--output", record, ranks=3))
        served = served_bytes()
        self.assert_nothing_left()
        return self.read_record(record), served

    def test_the_cache_takes_the_load_off_the_base(self):
        cache = self.cache_of("tiny")
        (tables, attributes), without = self.launch("none")
        self.check_vms(tables, "none")
        self.assertGreater(without, self.VMS * 10 * 2**20, "a boot reads tens of MiB")
        (tables, attributes), with_cache = self.launch(cache)
        self.check_vms(tables, "received")
        print(f"base bytes served: {without:.0f} without, {with_cache:.0f} with the cache ({with_cache / without:.4%})")
        self.assertLess(with_cache, 0.01 * without)
        self.assertEqual(attributes["complete"], 1)

    def check_vms(self, tables, source):
        vms = tables["vms"].sort_values("rank", kind="stable")
        self.assertEqual(len(vms), self.VMS)
        self.assertEqual(set(vms.state), {"ready"})
        self.assertEqual(sorted(vms.groupby("node").size()), [2, 3, 3])
        self.assertTrue((vms.t_prepare <= vms.t_spawn).all())
        self.assertTrue((vms.t_spawn <= vms.t_running).all())
        self.assertTrue((vms.t_running < vms.t_ready).all())
        self.assertTrue((vms.t_ready <= vms.t_stopped).all())
        self.assertTrue((vms.cpu_s > 0).all())
        nodes = tables["nodes"].sort_values("node", ignore_index=True)
        self.assertEqual(len(nodes), 3)
        self.assertEqual(set(nodes.cache_source[1:]), {source})
        self.assertEqual(nodes.cache_source[0], "copied" if source == "received" else source)
        self.assertEqual(nodes.wire_bytes[0], 0 if source == "received" else -1)
        phases = tables["phases"].set_index("name")
        for name in ("plan", "distribute", "start", "ready", "stop"):
            self.assertLessEqual(phases.t_begin[name], phases.t_end[name])


class Backends(LaunchCase):
    def launch(self, backend):
        record = self.folder / f"{backend}.h5"
        self.run_command(self.vmilaunch("--image", image("tiny"), "--vms", 2, "--cache", self.cache_of("tiny"), "--backend", backend,
                                        "--output", record))
        self.assert_nothing_left()
        tables, attributes = self.read_record(record)
        self.assertEqual(set(tables["vms"].state), {"ready"})
        self.assertEqual(attributes["backend"], backend)
        return tables

    def test_both_backends_boot_the_same_fleet(self):
        for backend in ("libvirt", "qemu"):
            with self.subTest(backend=backend):
                self.launch(backend)

    def test_a_second_launch_receives_nothing(self):
        for expected in ("received", "held"):
            record = self.folder / f"{expected}.h5"
            self.run_command(self.vmilaunch("--image", image("tiny"), "--vms", 2, "--cache", self.cache_of("tiny"), "--ready", "none",
                                            "--output", record, ranks=2))
            tables, _ = self.read_record(record)
            nodes = tables["nodes"].set_index("node")
            if expected == "held":
                self.assertEqual(list(nodes.cache_source), ["held", "held"])
                self.assertEqual(list(nodes.wire_bytes), [0, 0])


class Debian(LaunchCase):
    """A real distribution: systemd, network, guest agent."""

    def launch(self, ready):
        record = self.folder / "run.h5"
        self.run_command(self.vmilaunch("--image", image("debian"), "--vms", 2, "--ready", ready, "--timeout", "550s", "--output", record, ranks=2))
        self.assert_nothing_left()
        tables, attributes = self.read_record(record)
        self.assertEqual(set(tables["vms"].state), {"ready"})
        return tables

    def test_boots_from_its_cache_until_the_agent_answers(self):
        tables = self.launch("agent")
        self.assertEqual(set(tables["vms"].ready_by), {"agent"})
        self.assertGreater(len(tables["boot_trace"]), 1000, "this launch profiled the image")

    def test_boots_from_its_cache_until_the_login_prompt(self):
        self.assertEqual(set(self.launch("serial:login: ")["vms"].ready_by), {"serial"})


class OrdinaryUser(LaunchCase):
    """A user without root, who owns a home folder and nothing else."""

    def test_launches_a_fleet(self):
        tools = self.folder / "tools"
        tools.mkdir()
        for program in (BIN / "vmilaunch", HERE / "as-node"):
            shutil.copy(program, tools)
        base = self.folder / "tiny.qcow2"
        subprocess.run(["cp", "--sparse=always", image("tiny"), base], check=True)
        cache = self.folder / "tiny.vmic"
        shutil.copy(self.cache_of("tiny"), cache)
        record = self.folder / "home" / "run.h5"
        record.parent.mkdir()
        command = ["mpirun", "-n", 3, tools / "as-node", tools / "vmilaunch", "--image", base, "--vms", 8, "--cache", cache,
                   "--node-dir", self.node_dir, "--output", record]
        self.run_command(self.as_user(command), HOME=str(record.parent), TMPDIR=str(record.parent))
        self.assert_nothing_left()
        tables, _ = self.read_record(record)
        self.assertEqual(set(tables["vms"].state), {"ready"})
        self.assertNotEqual(record.stat().st_uid, 0)

    def as_user(self, command):
        """Root runs the command as a user that it makes; anybody else is an ordinary user already."""
        if os.geteuid() != 0:
            return command
        user = f"vmi-test-{os.getpid()}"
        subprocess.run(["useradd", "--no-create-home", "--home-dir", self.folder / "home", "--shell", "/bin/sh", user], check=True)
        self.addCleanup(subprocess.run, ["userdel", user], check=True)
        self.folder.chmod(0o755)
        for path in (self.folder / "home", self.node_dir):
            shutil.chown(path, user, user)
        return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "env", "-u", "OMPI_ALLOW_RUN_AS_ROOT",
                "-u", "XDG_CACHE_HOME", "-u", "XDG_RUNTIME_DIR", *command]


if __name__ == "__main__":
    unittest.main(verbosity=2)
