#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The batch scripts and the epilog of slurm/, as they are."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import unittest

from support import HERE, SlurmCase, contained, wait_until

SLURM = HERE.parent.parent / "slurm"
BOOT = pathlib.Path("/proc/sys/kernel/random/boot_id")


def start_time(pid):
    """Of a process, as its launch's owner file has it."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]


class SlurmTemplates(SlurmCase):
    def login(self):
        settings = {"accel": "tcg", "memory": "16M", "ready": "serial:READY", "timeout": "60s", "cache_dir": self.folder / "store"}
        login = super().login()
        return dict(login, PATH=f"{self.tools}:{login['PATH']}", VMS_PER_NODE="2",
                    **{f"VMILAUNCH_{name.upper()}": str(value) for name, value in settings.items()})

    def sbatch(self, template, *arguments, options=()):
        """Submits a template for this small cluster; returns the job's number."""
        script = self.folder / template
        shutil.copy(SLURM / "templates" / template, script)
        return self.run_as_user(["sbatch", "--parsable", f"--chdir={self.folder}", "--mem=500M", "--output=%j.txt", *options, script, *arguments]).strip()

    def finish(self, job, state="COMPLETED", code="0:0"):
        def over():
            return self.cluster.job(job)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING")
        wait_until(over, 90, f"the end of job {job}")
        fields, log = self.cluster.job(job), self.folder / f"{job}.txt"
        text = log.read_text() if log.exists() else ""
        self.assertEqual((fields["JobState"], fields["ExitCode"]), (state, code), text)
        return text

    def test_a_cache_is_built_by_a_job_and_used_by_the_next(self):
        cache = self.folder / "small.vmic"
        build = self.sbatch("build-cache.sbatch", self.image, cache, "--ready", "serial:READY", "--accel", "tcg", "--memory", "16M",
                            options=("--nodelist=n3",))
        job = self.sbatch("one-image.sbatch", self.image, "sh", "-c", "cat $VMILAUNCH_HOSTS",
                          options=(f"--dependency=afterok:{build}", f"--export=ALL,VMILAUNCH_CACHE={cache}"))
        self.finish(build)
        self.assertEqual(self.cluster.job(build)["NodeList"], "n3")
        out = self.finish(job)
        self.assertRegex(out, r"(?m)^vm3 \S+ \S+:\d+$")  # with a port, which a script's ssh can take
        self.assertNotIn("profiled with", out)  # the two templates see one guest
        self.assert_nothing_left()
        _, attributes = self.read_record(self.folder / f"vmilaunch-{job}.h5")
        self.assertEqual(attributes["cache_mode"], "path")

    def test_an_installed_vmilaunch_sweeps_after_each_step(self):
        epilog = self.tools.parent / "share/vmilaunch/slurm/epilog.sh"
        self.addCleanup(shutil.rmtree, self.tools.parent / "share")
        epilog.parent.mkdir(parents=True)
        shutil.copy(SLURM / "site/epilog.sh", epilog.with_name("real.sh"))
        epilog.write_text(f'#!/bin/sh\n{epilog.with_name("real.sh")} && touch {self.folder}/$SLURMD_NODENAME.$SLURM_SCRIPT_CONTEXT\n')
        epilog.chmod(0o755)
        self.finish(self.sbatch("one-image.sbatch", self.image, options=("--nodelist=n0,n2",)))
        self.assertEqual(sorted(path.name for path in self.folder.glob("n*.*_task")), ["n0.epilog_task", "n2.epilog_task"])

    def test_several_images_and_an_array(self):
        other = self.small_guest("READY", "other")
        several = self.sbatch("several-images.sbatch", f"{self.image}:1", f"{other}:3")
        self.assertIn("4 of 4 VMs ready", self.finish(several))
        images = self.folder / "images.txt"
        images.write_text(f"{self.image}\n{other}\n")
        array = self.sbatch("array.sbatch", images, options=("--array=2", "--output=%A.txt", "--export=ALL,VMS=2"))
        self.assertIn("2 of 2 VMs ready", self.finish(array))
        self.assertTrue((self.folder / f"vmilaunch-{array}_2.h5").exists())
        self.assert_nothing_left()


@unittest.skipUnless(os.geteuid() == 0 or "CI" in os.environ, "an epilog runs as root")
class SlurmEpilog(unittest.TestCase):
    def setUp(self):
        self.uid = pwd.getpwnam("nobody").pw_uid

    def folder_of(self, owner, uid):
        """A launch's folder, of a user, as one that its owner file names left it."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="vmilaunch-run-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        (folder / "owner").write_text(owner + "\n")
        os.chown(folder, uid, -1)
        return folder

    def sweep(self, **environment):
        subprocess.run([SLURM / "site/epilog.sh"], env={"PATH": "/usr/bin:/bin", "SLURM_JOB_UID": str(self.uid), **environment}, check=True)

    def test_removes_what_a_dead_launch_left_and_nothing_else(self):
        boot, host, start = BOOT.read_text().strip(), os.uname().nodename, start_time(os.getpid())
        folders = {name: self.folder_of(owner, user) for name, owner, user in (
            ("dead", f"999999999 1 {boot} {host}", self.uid), ("alive", f"{os.getpid()} {start} {boot} {host}", self.uid),
            ("from before", f"{os.getpid()} {start} 0-0 {host}", self.uid), ("another host's", f"999999999 1 0-0 {host}x", self.uid),
            ("another's", f"999999999 1 {boot} {host}", 0))}
        self.sweep()
        self.assertEqual({name: folder.exists() for name, folder in folders.items()}, {"dead": False, "alive": True, "from before": False, "another host's": True,
                                                                                      "another's": True})

    def test_after_a_step_waits_for_its_dying_supervisor_and_leaves_another_step_alone(self):
        folders = {}
        for step, lifetime in (("0", "1"), ("1", "60")):
            supervisor = subprocess.Popen(["/bin/sleep", lifetime], env={"SLURM_JOB_ID": "7", "SLURM_STEP_ID": step})
            self.addCleanup(supervisor.wait)
            self.addCleanup(supervisor.kill)
            owner = f"{supervisor.pid} {start_time(supervisor.pid)} {BOOT.read_text().strip()} {os.uname().nodename}"
            folders[step] = self.folder_of(owner, self.uid)
        self.sweep(SLURM_SCRIPT_CONTEXT="epilog_task", SLURM_JOB_ID="7", SLURM_STEP_ID="0")
        self.assertEqual({step: folder.exists() for step, folder in folders.items()}, {"0": False, "1": True})


class SlurmModuleFile(unittest.TestCase):
    def test_loads_and_unloads(self):
        with tempfile.TemporaryDirectory() as folder:
            modules = pathlib.Path(folder) / "vmilaunch"
            modules.mkdir()
            (modules / "0.1.0").write_text((SLURM / "site/modulefile").read_text())
            script = "module load vmilaunch && echo $PATH $PYTHONPATH ${MANPATH-unset} $SLURM_PMIX_FENCE $SLURM_TASK_EPILOG && module unload vmilaunch && echo $PATH ${SLURM_PMIX_FENCE-unset}"
            shown = subprocess.run(["bash", "--norc", "-c", f". /usr/share/modules/init/bash; module use {folder}; {script}"], capture_output=True, text=True,
                                   env={"PATH": "/usr/bin:/bin", "HOME": folder})
            self.assertEqual(shown.stderr, "")
            loaded, unloaded = shown.stdout.splitlines()
            self.assertRegex(loaded, "^/opt/vmilaunch/0.1.0/bin:/usr/bin:/bin /opt/vmilaunch/0.1.0/share/vmilaunch/python unset ring /opt/vmilaunch/0.1.0/share/vmilaunch/slurm/epilog.sh$")
            self.assertEqual(unloaded, "/usr/bin:/bin unset")


if __name__ == "__main__":
    contained()
    unittest.main(verbosity=2)
