#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""README.md's examples, as they are printed: what stands in its `sh` blocks runs, in their order, in one folder."""
import os
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/integration"))

from harness import BIN, LaunchCase, image  # noqa: E402

README = (ROOT / "README.md").read_text()


def examples():
    """The text of each block that is marked as the shell's."""
    return re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


class Readme(LaunchCase):
    def setUp(self):
        super().setUp()
        for name in ("tiny", "debian"):
            (self.folder / f"{name}.qcow2").symlink_to(image(name))
        (self.folder / "home").mkdir()
        # The reader's machine may be slow; where he keeps things is the test's.
        self.settings = {"HOME": self.folder / "home", "PATH": f"{BIN}:{os.environ['PATH']}", "VMILAUNCH_NODE_DIR": self.node_dir,
                         "VMILAUNCH_CACHE_DIR": self.folder / "store", "VMILAUNCH_TIMEOUT": "600s", "VMICACHE_TIMEOUT": "600s"}

    def run_example(self, text):
        return self.run_command(["bash", "-e", "-c", text], **{name: str(value) for name, value in self.settings.items()})

    def test_examples_work_as_printed(self):
        launch, cache, ssh = examples()
        out = self.run_example(launch)
        self.assertIn("4 of 4 VMs ready", out)
        self.assertRegex(out, r"outcome: +ready")
        self.assertIn("4 of 4 VMs ready", self.run_example(cache))
        out = self.run_example(ssh)
        self.assertIn("2 of 2 VMs ready", out)
        # What `hostname` says in each VM, which experiment.sh asks by ssh.
        self.assertEqual(re.findall(r"^vm\d$", out, re.MULTILINE), ["vm0", "vm1"], out)

    def test_commands_that_are_no_example_exist(self):
        for path in set(re.findall(r"(?<![\w./])((?:scripts|slurm|qemu-driver|docs|launcher|cachegen)/[\w./-]*\w)", README)):
            self.assertTrue((ROOT / path).exists(), path)


if __name__ == "__main__":
    unittest.main(verbosity=2)
