# SPDX-License-Identifier: Apache-2.0
"""What the tests of vmireport share. CTest names the programs in VMI_BIN and VMI_TESTS."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

VMIREPORT = os.path.join(os.environ["VMI_BIN"], "vmireport")
WRITE_SAMPLE = os.path.join(os.environ["VMI_TESTS"], "write_sample")


class InFolder(unittest.TestCase):
    """Each test has a folder of its own, self.folder."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="vmireport-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def sample(self, name, *words):
        """A record that the C++ code wrote; with "killed" its journal."""
        done = subprocess.run([WRITE_SAMPLE, self.path(name), *words], check=False)
        self.assertEqual(done.returncode, -signal.SIGKILL if "killed" in words else 0)
        return self.path(name) + (".journal" if "killed" in words else "")

    @contextlib.contextmanager
    def running(self, name, *words):
        """The journal of a launch whose VMs boot; at the end of the context it ends, and its record is there."""
        with subprocess.Popen([WRITE_SAMPLE, self.path(name), "running", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as launch:
            self.assertEqual(launch.stdout.readline(), b"running\n")
            yield self.path(name) + ".journal"
        self.assertEqual(launch.returncode, 0)

    def report(self, *words, status=0, **environment):
        """What vmireport prints to stdout, or to stderr when `status` is not 0."""
        done = subprocess.run([VMIREPORT, *words], check=False, capture_output=True, text=True,
                              env={**os.environ, "MPLCONFIGDIR": self.folder, **environment})
        self.assertEqual(done.returncode, status, done.stderr)
        if status != 0:
            self.assertEqual(done.stderr.count("\n"), 1, f"one line, not {done.stderr}")
            return done.stderr
        return done.stdout
