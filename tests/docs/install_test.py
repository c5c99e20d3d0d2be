#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An install under a prefix, as a site makes one, used by somebody who is not root and knows nothing of the build."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["VMI_BUILD"])
QEMU = os.environ.get("VMI_TEST_QEMU")  # the prefix of the QEMU with the driver
COMMANDS = ("vmicache", "vmilaunch", "vmireport")
DEADLINE = 120  # seconds, for any one step


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = pathlib.Path(tempfile.mkdtemp(prefix="vmi-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.place, ignore_errors=True)
        cls.place.chmod(0o755)
        cls.prefix = cls.place / "prefix"
        environment = {**os.environ, "XDG_CACHE_HOME": cls.place.as_posix()}  # where the build of QEMU that is to be installed would be looked for
        if QEMU:
            (cls.place / "vmilaunch-build/qemu").mkdir(parents=True)
            (cls.place / "vmilaunch-build/qemu/current").symlink_to(QEMU)
        subprocess.run(["/usr/bin/cmake", "--install", BUILD, "--prefix", cls.prefix], check=True, stdout=subprocess.DEVNULL, env=environment, timeout=DEADLINE)
        cls.home = cls.place / "home"
        cls.home.mkdir()
        cls.user = pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            cls.user = f"vmi-{cls.place.name.rsplit('-', 1)[1]}"
            subprocess.run(["useradd", "--no-create-home", "--home-dir", cls.home, "--shell", "/bin/sh", cls.user], check=True)
            cls.addClassCleanup(subprocess.run, ["userdel", cls.user], check=True)
            shutil.chown(cls.home, cls.user, cls.user)

    def run_installed(self, *words):
        """The output of a command by its name, in a login's environment with the prefix in its PATH."""
        drop = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"] if os.geteuid() == 0 else []
        environment = {"HOME": self.home, "USER": self.user, "LANG": "C.UTF-8", "PATH": f"{self.prefix}/bin:/usr/bin:/bin"}
        done = subprocess.run([*drop, "env", "-i", *(f"{name}={value}" for name, value in environment.items()), *map(str, words)], cwd=self.home,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE, check=False)
        self.assertEqual(done.returncode, 0, f"{words[0]}: {done.stdout}")
        return done.stdout

    def test_every_command_runs_and_has_its_manual_and_completions(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                self.assertIn(command, self.run_installed(command, "--version"))
                self.assertIn("--help", self.run_installed(command, "--help"))
                for path in (f"share/man/man1/{command}.1", f"share/bash-completion/completions/{command}", f"share/zsh/site-functions/_{command}"):
                    self.assertGreater((self.prefix / path).stat().st_size, 0, path)

    def test_programs_are_stripped_and_those_of_the_build_are_not(self):
        def has_debug_information(program):
            return ".debug_info" in subprocess.run(["readelf", "--section-headers", "--wide", program], check=True, capture_output=True, text=True).stdout

        for path in ("bin/vmilaunch", "bin/vmicache", "libexec/vmilaunch/vmi-recover"):
            self.assertFalse(has_debug_information(self.prefix / path), path)
        self.assertTrue(has_debug_information(BUILD / "bin/vmilaunch"))

    def test_pages_templates_and_a_module_file_that_knows_the_prefix(self):
        for path in ("doc/vmilaunch/README.md", "doc/vmilaunch/LICENSE", "doc/vmilaunch/docs/record.md", "vmilaunch/slurm/templates/one-image.sbatch"):
            self.assertGreater((self.prefix / "share" / path).stat().st_size, 0, path)
        plugin = (self.prefix / "share/vmilaunch/slurm/plugstack.conf.d/vmilaunch.conf").read_text().splitlines()[-1]
        self.assertEqual(plugin, f"optional {self.prefix}/lib/slurm/spank_vmilaunch.so")
        loaded = self.run_installed("env", "PATH=/usr/bin:/bin", "bash", "-c",
                                    f". /usr/share/modules/init/bash; module use {self.prefix}/share/vmilaunch/modulefiles; module load vmilaunch; type -p vmilaunch")
        self.assertEqual(loaded, f"{self.prefix}/bin/vmilaunch\n")

    def launch(self, *options):
        """A launch of two small guests as the user; its output."""
        guest = self.home / "guest.raw"
        if not guest.exists():
            shutil.copy(BUILD / "tests/supervisor/READY.boot", guest)
            os.truncate(guest, 16 * 2**20)
            shutil.chown(guest, self.user)
        return self.run_installed("vmilaunch", "--image", guest, "--vms", 2, "--memory", "16M", "--accel", "tcg", "--ready", "serial:READY", "--timeout", "60s",
                                  "--cache-dir", self.home / "store", "--node-dir", self.home / "node", "--output", self.home / "run.h5", *options)

    def test_a_launch_with_a_cache_and_its_report(self):
        self.launch()
        self.assertIn("2 of 2 VMs ready", self.run_installed("vmireport", self.home / "run.h5"))
        self.assertIn("guest.raw", self.run_installed("vmicache", "ls", "--cache-dir", self.home / "store"))

    @unittest.skipUnless(QEMU, "no VMI_TEST_QEMU: qemu-driver/build")
    def test_the_cache_enabled_qemu_is_installed_and_is_the_default(self):
        qemu = f"{self.prefix}/libexec/vmilaunch/qemu/bin/qemu-system-x86_64"
        self.assertIn("vmicache-", self.run_installed(qemu, "--version"))
        for command in (("vmilaunch",), ("vmicache", "build")):
            self.assertIn(f"[{qemu}]", self.run_installed(*command, "--help"))
        self.assertIn(f"<emulator>{qemu}</emulator>", self.launch("--backend", "libvirt", "--dry-run"))
        warning = "stock QEMU '/usr/bin/qemu-system-x86_64' is used"
        self.assertNotIn(warning, self.launch("--dry-run"))
        self.assertIn(warning, self.launch("--dry-run", "--qemu", "qemu-system-x86_64"))
        self.assertNotIn(warning, self.launch("--dry-run", "--qemu", "qemu-system-x86_64", "--driver", "qcow2"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
