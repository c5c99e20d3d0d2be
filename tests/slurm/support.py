# SPDX-License-Identifier: Apache-2.0
"""What the Slurm tests share: a cluster for a class of tests, an ordinary user who submits to it, small guests."""
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from cluster import Cluster  # noqa: E402
from harness import BIN, LaunchCase, processes_with, wait_until  # noqa: E402, F401

MIB = 2**20

# What slurmstepd says when the PMIx plugin of Slurm 22.05 refuses another node's connection, after which MPI_Init does not return on any
# rank: slurm/README.md has when it does. It is Slurm's, and no test's.
REFUSED = "Verifying authentication credential: Invalid authentication credential"
# What the launch says then, two minutes after its start.
GIVEN_UP = "MPI_Init did not return in time"


def contained():
    """Runs this program again in a process namespace of its own: whatever ends it ends the daemons and jobs in it."""
    if os.environ.get("VMI_CONTAINED"):
        return
    user = [] if os.geteuid() == 0 else ["--user", "--map-current-user"]
    # Process 1 of the namespace is a shell, which reaps what others leave.
    os.execvpe("unshare", ["unshare", *user, "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", '"$@"; exit $?', "sh",
                           sys.executable, *sys.argv], dict(os.environ, VMI_CONTAINED="1"))


class SlurmCase(LaunchCase):
    """Each class has a cluster, each test folders of its own; jobs are an ordinary user's."""

    owner = None  # of the daemons; None: who runs the tests, "user": the ordinary user
    cluster_options = {}

    @classmethod
    def setUpClass(cls):
        cls.user = pwd.getpwuid(os.geteuid()).pw_name
        cls.place = pathlib.Path(tempfile.mkdtemp(prefix="vmi-slurm-nodes-", dir="/dev/shm"))
        cls.addClassCleanup(shutil.rmtree, cls.place, ignore_errors=True)
        if os.geteuid() == 0:
            cls.user = f"vmi-{cls.place.name.rsplit('-', 1)[1]}"
            subprocess.run(["useradd", "--no-create-home", "--home-dir", cls.place / "home", "--shell", "/bin/sh", cls.user], check=True)
            cls.addClassCleanup(subprocess.run, ["userdel", cls.user], check=True)
        cls.node_dirs = cls.place / "nodes"
        cls.tools = cls.place / "tools"
        for folder in (cls.place / "home", cls.node_dirs, cls.tools):
            folder.mkdir()
        cls.place.chmod(0o755)
        for program in ("vmilaunch", "vmicache"):
            shutil.copy(BIN / program, cls.tools)
        for folder in (cls.place / "home", cls.node_dirs):
            shutil.chown(folder, cls.user)
        cls.cluster = Cluster(cls.node_dirs, user=cls.user if cls.owner == "user" and os.geteuid() == 0 else None, **cls.cluster_options)
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()

    def setUp(self):
        super().setUp()
        self.cluster.recover()
        shutil.rmtree(self.node_dir)
        self.node_dir = self.node_dirs  # one folder for each node in it, where the cluster's prolog says
        for folder in self.node_dirs.iterdir():
            shutil.rmtree(folder)
        self.folder.chmod(0o755)
        shutil.chown(self.folder, self.user)
        self.image = self.small_guest("READY")

    def small_guest(self, kind, name="small"):
        """A disk whose boot sector says `kind`; it boots in a tenth of a second."""
        disk = self.folder / f"{name}.raw"
        shutil.copy(BIN.parent / f"tests/supervisor/{kind}.boot", disk)
        with disk.open("r+b") as file:
            file.truncate(16 * MIB)
        return disk

    def as_user(self, command):
        """The command as the ordinary user, in a login's environment."""
        setpriv = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"] if os.geteuid() == 0 else []
        return [*setpriv, "env", "-i", *(f"{name}={value}" for name, value in self.login().items()), *command]

    def login(self):
        # Slurm 22.05's default fence ("mixed") lets ranks out of MPI_Init before all are in (slurm/README.md).
        return dict(self.cluster.environment, SLURM_PMIX_FENCE="ring", HOME=str(self.place / "home"), USER=self.user, LOGNAME=self.user, LANG="C.UTF-8",
                    OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_mpi_yield_when_idle="1")

    def submit(self, command):
        """Starts a Slurm command as the user."""
        return self.start(self.as_user([str(word) for word in command]))

    def run_as_user(self, command, expect=0):
        running = self.submit(command)
        status = running.wait(180)
        if self.slurm_refused(running):
            self.assertEqual(status, 4, running.output)
            running = self.submit(command)
            status = running.wait(180)
        if status != expect:
            self.fail(f"{status} instead of {expect}: {' '.join(map(str, command))}\n{running.output}\n{self.cluster.logs()}")
        return running.output

    def slurm_refused(self, running):
        """Whether Slurm kept this step's ranks from finding each other, which is worth one more try; says so where it did."""
        refused = REFUSED in running.output and GIVEN_UP in running.output
        if refused:
            print(f"Slurm refused a connection between two nodes; once more after:\n{running.output}", file=sys.stderr)
        return refused

    def launch(self, *options, vms=8, cache="auto"):
        """vmilaunch's words for VMs that are ready at once; `options` come before what is usual here."""
        usual = {"--image": self.image, "--vms": vms, "--memory": "16M", "--cache": cache, "--accel": "tcg", "--cache-dir": self.folder / "store",
                 "--ready": "serial:READY", "--timeout": "60s"}
        return [self.tools / "vmilaunch", *(word for name, value in usual.items() if name not in options for word in (name, value)), *options]

    def srun(self, *options, nodes=4):
        return ["srun", "--mpi=pmix", f"--nodes={nodes}", "--ntasks-per-node=1", "--time=5", *options]

    def is_kept(self, path):
        return path.parent.name == "cache" and re.fullmatch(r"(filled-)?[0-9a-f]{32}(\.used)?", path.name)

    def assert_nothing_left(self, seconds=15):
        """No process, socket or file on any node but the caches, which are whole or not there."""
        super().assert_nothing_left(seconds)
        mine = pwd.getpwnam(self.user).pw_uid

        def runtime_folders():
            # find(1) goes on where a folder is removed meanwhile.
            command = ["find", "/dev/shm", "/tmp", "-maxdepth", "1", "-name", "vmilaunch-run-*", "-user", str(mine)]
            return subprocess.run(command, capture_output=True, text=True).stdout.split() if mine != os.geteuid() else []
        wait_until(lambda: not runtime_folders(), seconds, lambda: f"the removal of {runtime_folders()}")

        def sockets():
            return [line for line in pathlib.Path("/proc/net/unix").read_text().splitlines() if str(self.place) in line]
        wait_until(lambda: not sockets(), seconds, lambda: f"the end of {sockets()}")
