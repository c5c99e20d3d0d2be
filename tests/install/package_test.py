#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian package, installed by dpkg on a Debian that has what the package depends on and no more, and used there by somebody
who is not root."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
BUILD = pathlib.Path(os.environ["VMI_BUILD"])
IMAGES = pathlib.Path(os.environ.get("VMI_TEST_IMAGES", pathlib.Path.home() / ".cache/vmilaunch-build/images"))
QEMU = os.environ.get("VMI_TEST_QEMU")  # the prefix of the QEMU with the driver
# Everything by its default: which QEMU, which cache, which folders. Then what the user has of it.
LAUNCH = """set -eu
id -u
command -v vmilaunch
vmilaunch --image /images/tiny.qcow2 --vms 1 --output run.h5
vmireport run.h5
vmicache ls
python3 -c 'import h5py; print("driver", h5py.File("run.h5").attrs["driver"])'
"""


def unshare(*words):
    """The command as root of namespaces of its own; with it all its processes and mounts go."""
    user = [] if os.geteuid() == 0 else ["--map-root-user", "--map-auto"]
    return ["unshare", *user, "--mount", "--pid", "--fork", "--kill-child", *map(str, words)]


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not (IMAGES / "tiny.qcow2").exists() and os.environ.get("CI") != "true":
            raise unittest.SkipTest("no image: scripts/images tiny")
        cls.place = pathlib.Path(tempfile.mkdtemp(prefix="vmi-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.place)
        environment = {**os.environ, "XDG_CACHE_HOME": cls.place.as_posix()}  # where the QEMU to be packed is looked for
        if QEMU:
            (cls.place / "vmilaunch-build/qemu").mkdir(parents=True)
            (cls.place / "vmilaunch-build/qemu/current").symlink_to(QEMU)
        subprocess.run(["cpack", "-G", "DEB", "-B", cls.place, "--config", BUILD / "CPackConfig.cmake"], check=True, stdout=subprocess.DEVNULL,
                       env=environment)
        cls.package, = cls.place.glob("*.deb")

    def test_installs_on_a_clean_system_and_launches_as_an_ordinary_user(self):
        depends = subprocess.run(["dpkg-deb", "--field", self.package, "Depends"], check=True, capture_output=True, text=True).stdout
        system = subprocess.run([HERE / "clean-system", "bookworm", depends], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        root = self.place / "root"
        root.mkdir()
        done = subprocess.run(unshare(HERE / "in-clean-system", system, root, self.package, IMAGES, "sh", "-c", LAUNCH),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"(?m)^[1-9][0-9]*\n/usr/bin/vmilaunch$")
        self.assertIn("1 of 1 VMs ready", done.stdout)
        self.assertIn("tiny.qcow2", done.stdout)
        if QEMU:
            self.assertRegex(done.stdout, "(?m)^driver .*vmicache")


if __name__ == "__main__":
    unittest.main(verbosity=2)
