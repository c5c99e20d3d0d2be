#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Nodes that are not as one would like them: each launch works there, or says why not."""
import os
import pathlib
import shutil
import unittest

from harness import BIN, LaunchCase

MIB = 2**20


class OddNodes(LaunchCase):
    """In a mount namespace of its own, where the test's shell words change the node first."""

    def setUp(self):
        super().setUp()
        self.image = self.folder / "small.raw"
        shutil.copy(BIN.parent / "tests/supervisor/READY.boot", self.image)
        with self.image.open("r+b") as file:
            file.truncate(16 * MIB)
        self.home = self.folder / "home"
        self.home.mkdir()

    def launch(self, *options, before="true", cache="none", node_dir=True, expect=0, **env):
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        command = [BIN / "vmilaunch", "--image", self.image, "--vms", 2, "--memory", "16M", "--cache", cache, "--ready", "serial:READY", "--timeout", "60s",
                   "--output", self.folder / "run.h5", *(["--node-dir", self.node_dir] if node_dir else []), *options]
        env = {"HOME": str(self.home), "VMI_FOLDER": str(self.folder), **env}
        if user:  # else Open MPI takes the real root's session folder for its own
            env["OMPI_MCA_orte_tmpdir_base"] = str(self.folder)
        unset = ["env", *(word for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "TMPDIR") if name not in env for word in ("-u", name))]
        out = self.run_command(["unshare", *user, "--mount", "sh", "-c", f'{before} && exec "$@"', "sh", *unset, *command], expect=expect, **env)
        if expect == 0:
            self.assertIn("2 of 2 VMs ready", out)
        self.assert_nothing_left()
        return out

    def test_without_a_runtime_folder_of_the_session(self):
        self.launch()

    def test_with_a_private_tmp(self):
        kept = [path for path in (self.folder, BIN) if path.is_relative_to("/tmp")]
        aside = [f"/dev/shm/$$-{i}" for i in range(len(kept))]
        steps = [*(f"mkdir {there} && mount --bind {path} {there}" for path, there in zip(kept, aside)), "mount -t tmpfs none /tmp",
                 *(f"mkdir -p {path} && mount --bind {there} {path} && umount {there} && rmdir {there}" for path, there in zip(kept, aside))]
        self.launch(before=" && ".join(steps))

    def test_with_a_home_that_cannot_be_written_to(self):
        read_only = "mount --bind $HOME $HOME && mount -o remount,bind,ro $HOME"
        self.launch(before=read_only)
        out = self.launch(before=read_only, cache="auto", expect=4)
        self.assertIn(str(self.home), out)
        self.assertIn("--cache-dir", out)
        self.launch("--cache-dir", self.folder / "store", before=read_only, cache="auto")

    def test_without_room_in_shared_memory_the_launch_goes_elsewhere(self):
        full = "mount -t tmpfs -o size=64k none /dev/shm && head -c 1M /dev/zero > /dev/shm/full 2> /dev/null; true"
        self.launch(before=full, node_dir=False, TMPDIR=str(self.folder))

    def test_a_node_folder_that_is_too_small_is_named_before_anything_starts(self):
        small = f"mount -t tmpfs -o size=2m none {self.node_dir}"
        out = self.launch(before=small, expect=4)
        self.assertIn(f"--node-dir '{self.node_dir}' has", out)
        self.assertNotIn("distributing", out)

    def test_with_a_long_name_for_temporary_files(self):
        long = self.folder / "/".join(["a-rather-long-name-of-a-folder"] * 4)
        long.mkdir(parents=True)
        self.launch(TMPDIR=str(long))
        out = self.launch(before="mount -t tmpfs -o size=4k none /dev/shm && head -c 64K /dev/zero > /dev/shm/full 2> /dev/null; true",
                          node_dir=False, expect=4, TMPDIR=str(long))
        self.assertIn("TMPDIR", out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
