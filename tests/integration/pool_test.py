#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The caches that a node keeps: their budget, who uses them, and what becomes of damaged ones."""
import os
import shutil
import signal
import unittest

from harness import BIN, LaunchCase

MIB = 2**20


class NodePool(LaunchCase):
    def guest(self, name):
        """A disk that boots in a tenth of a second, and of which 3 MiB are not zero."""
        disk = self.folder / f"{name}.raw"
        shutil.copy(BIN.parent / "tests/supervisor/READY.boot", disk)
        with disk.open("r+b") as file:
            file.seek(MIB)
            file.write(os.urandom(3 * MIB))
            file.truncate(16 * MIB)
        return disk

    def command(self, disk, *options, cache="full", ranks=2):
        self.record = self.folder / "run.h5"
        return self.vmilaunch("--image", disk, "--vms", 2, "--memory", "16M", "--accel", "tcg", "--cache", cache, "--ready", "serial:READY",
                              "--timeout", "60s", "--output", self.record, *options, ranks=ranks)

    def launch(self, disk, *options, **more):
        """Returns how the nodes came by the caches."""
        self.output = self.run_command(self.command(disk, *options, **more))
        self.assert_nothing_left()
        tables, self.attributes = self.read_record(self.record)
        self.nodes = tables["nodes"]
        return list(self.nodes.sort_values("node").cache_source)

    def kept(self):
        """The pool's caches by digest."""
        return {path.name: path for path in (self.node_dir / "cache").iterdir() if path.suffix != ".used"}

    def test_what_was_used_least_recently_makes_way(self):
        digests = {}
        for name in ("a", "b"):
            before = set(self.kept()) if digests else set()
            self.assertEqual(self.launch(self.guest(name), "--node-budget", "8M"), ["copied", "received"])
            self.assertIn("caches: 0 of 2 nodes held them already", self.output)
            [digests[name]] = set(self.kept()) - before
        self.assertEqual(self.launch(self.folder / "a.raw", "--node-budget", "8M"), ["held", "held"])
        self.assertIn("caches: 2 of 2 nodes held them already, 0 bytes sent", self.output)
        self.assertEqual(self.attributes["nodes_held"], 2)
        self.assertEqual((self.nodes.wire_bytes.sum(), self.nodes.payload_bytes.sum()), (0, 0))
        self.launch(self.guest("c"), "--node-budget", "8M")
        self.assertEqual(len(self.kept()), 2)
        self.assertIn(digests["a"], self.kept())
        self.assertNotIn(digests["b"], self.kept())

    def test_a_launch_goes_on_without_keeping_what_does_not_fit(self):
        self.assertEqual(self.launch(self.guest("a"), "--node-budget", "2M"), ["copied", "received"])
        self.assertIn("is not kept on node0", self.output)
        self.assertIn("--node-budget", self.output)
        self.assertEqual(self.kept(), {})

    def test_what_a_running_launch_uses_stays(self):
        running = self.start(self.command(self.guest("a"), "--hold"))
        running.wait_for_line("holding")
        self.record = self.folder / "other.h5"
        [held] = self.kept()
        out = self.run_command(self.vmilaunch("--image", self.guest("b"), "--vms", 1, "--memory", "16M", "--accel", "tcg", "--cache", "full", "--ready",
                                              "serial:READY", "--output", self.record, "--node-budget", "4M"))
        self.assertIn("is not kept", out)
        self.assertEqual(list(self.kept()), [held])
        running.process.send_signal(signal.SIGTERM)
        running.wait()
        self.assert_nothing_left()
        self.launch(self.folder / "b.raw", "--node-budget", "4M")
        self.assertEqual(len(self.kept()), 1)
        self.assertNotIn(held, self.kept())

    def test_a_damaged_copy_is_replaced(self):
        disk = self.guest("a")
        self.launch(disk)
        [copy] = self.kept().values()
        whole = copy.read_bytes()
        for damaged in (whole[:5 * MIB], whole[:2 * MIB] + b"xyzt" + whole[2 * MIB + 4:]):
            copy.write_bytes(damaged)
            # One rank: the pretended nodes share this pool, so that the first to look would hide the damage from the other.
            self.assertEqual(self.launch(disk, ranks=1), ["copied"])
            self.assertIn("is damaged", self.output)
            self.assertEqual(copy.read_bytes(), whole)

    def test_a_cache_that_does_not_fit_where_the_vms_do_is_refused(self):
        # Two overlays of 4 MiB fit into this folder, and a cache of 16 MiB does not.
        small = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() != 0 else []), "sh", "-c",
                 f'mount -t tmpfs -o size=10M none {self.node_dir} && exec "$@"', "sh"]
        disk = self.guest("a")
        out = self.run_command([*small, *self.command(disk, ranks=None)], expect=4)
        self.assertRegex(out, rf"2 overlays x 4 MiB \+ 16 MiB cache = 24 MiB, and --node-dir '{self.node_dir}' has [89] MiB free; name another folder")
        self.assert_nothing_left()
        tables, attributes = self.read_record(self.record)
        self.assertTrue(tables["vms"].t_spawn.isna().all())
        self.assertEqual(attributes["exit_status"], 4)
        out = self.run_command([*small, *self.command(disk, "--overcommit", "all", ranks=None)])
        self.assertIn("may not fit", out)
        self.assertIn("2 of 2 VMs ready", out)

    def test_a_damaged_filled_cache_is_filled_anew(self):
        disk = self.guest("a")
        options = ("--driver", "copy-on-read", "--verify-cache", "none")  # nobody compares it with the image

        def launch():
            return self.launch(disk, *options, cache="cold", ranks=1)
        self.assertEqual((launch(), launch()), (["filled"], ["held"]))
        [cache] = self.kept().values()
        with cache.open("r+b") as file:
            file.seek(-4, os.SEEK_END)
            file.write(b"xyzt")
        self.assertEqual(launch(), ["filled"])
        self.assertIn("is damaged", self.output)
        self.assertEqual(launch(), ["held"])

    def test_several_launches_at_once_share_the_pool(self):
        launches = []
        for name in ("a", "b", "c"):
            self.record = self.folder / f"{name}.h5"
            launches.append(self.start(self.vmilaunch(
                "--image", self.guest(name), "--vms", 1, "--memory", "16M", "--accel", "tcg", "--cache", "full", "--ready", "serial:READY", "--output",
                self.record, "--node-budget", "8M")))
        for launch in launches:
            self.assertEqual(launch.wait(), 0, launch.output)
        self.assert_nothing_left()
        self.assertLessEqual(sum(path.stat().st_blocks * 512 for path in self.kept().values()), 8 * MIB)


if __name__ == "__main__":
    unittest.main()
