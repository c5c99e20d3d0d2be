# SPDX-License-Identifier: Apache-2.0
"""A Slurm cluster on one machine: real daemons on loopback, with files, ports, key and sockets of their own."""
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness import wait_until

PORT_TRIES = 5

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

CONFIG = """
ClusterName=vmi
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A requeued job waits until its credentials have expired.
AuthInfo=socket={folder}/munge.socket,cred_expire=20
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
TmpFS={folder}/tmp-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdDebug=info
ProctrackType=proctrack/{proctrack}
TaskPlugin=task/{task_plugin}
TaskProlog={folder}/task-prolog
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
PlugStackConfig={folder}/plugstack.conf
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
KillWait=5
UnkillableStepTimeout=30
SlurmdTimeout=10
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1
{nodes}
PartitionName=all Nodes=ALL Default=YES State=UP MaxTime=INFINITE
{more}
"""

# Read with the plugins of that name alone.
CGROUP_CONFIG = """
CgroupPlugin=cgroup/v1
CgroupAutomount=no
ConstrainCores=yes
ConstrainRAMSpace=yes
AllowedRAMSpace=100
"""

# What a site's prolog does for its tasks: a scratch folder of the node's own.
TASK_PROLOG = """#!/bin/sh
echo "export VMILAUNCH_NODE_DIR={node_dirs}/$SLURMD_NODENAME"
"""


def free_ports(count):
    """TCP ports that are free now; taken all at once, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Cluster:
    """`nodes` slurmd, a slurmctld and a munged. As root the daemons run as root unless `user` says otherwise; anybody
    else's daemons are that user's own, and run that user's jobs alone."""

    def __init__(self, node_dirs, nodes=4, cpus=4, memory=4000, user=None, task_plugin="none", proctrack="linuxproc", more="",
                 plugins=""):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vmi-slurm-"))
        self.nodes = [f"n{i}" for i in range(nodes)]
        self.user = user
        self.daemons = {}
        self.cpus, self.memory, self.task_plugin, self.proctrack, self.more = cpus, memory, task_plugin, proctrack, more
        self.folder.chmod(0o755)
        (self.folder / "state").mkdir()
        for node in self.nodes:
            for part in ("spool", "tmp"):
                (self.folder / f"{part}-{node}").mkdir()
            (self.folder / f"tmp-{node}").chmod(0o1777)
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        prolog = self.folder / "task-prolog"
        prolog.write_text(TASK_PROLOG.format(node_dirs=node_dirs))
        prolog.chmod(0o755)
        self.choose_ports()
        if user:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, user)

        self.set_plugins(plugins)

    def choose_ports(self):
        """Writes slurm.conf with ports that are free now; others may take them before the daemons do."""
        self.ports = free_ports(len(self.nodes) + 1)
        self.write_configuration()

    def write_configuration(self):
        lines = "\n".join(f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} RealMemory={self.memory} "
                          "State=UNKNOWN" for node, port in zip(self.nodes, self.ports[1:]))
        (self.folder / "slurm.conf").write_text(CONFIG.format(
            folder=self.folder, controller_port=self.ports[0], user=self.user or pwd.getpwuid(os.geteuid()).pw_name, nodes=lines,
            task_plugin=self.task_plugin, proctrack=self.proctrack, more=self.more))
        (self.folder / "cgroup.conf").write_text(CGROUP_CONFIG)

    def configure(self, more):
        """Gives the running daemons these lines of slurm.conf instead of those given before."""
        self.more = more
        self.write_configuration()
        self.ask("scontrol", "reconfigure")

    def set_plugins(self, lines):
        """What SPANK plugins there are; slurmd looks when it starts (for epilogs among others), srun and slurmstepd anew each time."""
        (self.folder / "plugstack.conf").write_text(lines)

    @property
    def environment(self):
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": PATH}

    def start(self):
        root = ["--force"] if os.geteuid() == 0 and not self.user else []
        self.start_daemon("munged", "--foreground", *root, "--num-threads=2", f"--socket={self.folder}/munge.socket",
                          f"--key-file={self.folder}/munge.key", f"--pid-file={self.folder}/munge.pid",
                          f"--log-file={self.folder}/munge.log", f"--seed-file={self.folder}/munge.seed")
        wait_until((self.folder / "munge.socket").exists, 20, "munged's socket")
        for _ in range(PORT_TRIES):
            self.start_daemon("slurmctld", "-D", "-i")
            for node in self.nodes:
                self.start_node(node)
            if self.comes_up():
                return
            self.end_daemons([name for name in self.daemons if name != "munged"])
            self.choose_ports()
        raise AssertionError(f"the cluster did not come up:\n{self.logs()}")

    def comes_up(self):
        """Waits until all nodes are idle; False when some daemon's port was taken by somebody else."""
        def known():
            return self.idle_nodes() == len(self.nodes) or any(daemon.poll() is not None for daemon in self.daemons.values())
        try:
            wait_until(known, 60, "all nodes to be idle")
        except AssertionError:
            raise AssertionError(f"the cluster did not come up:\n{self.logs()}") from None
        if all(daemon.poll() is None for daemon in self.daemons.values()):
            return True
        if "Address already in use" not in self.logs():
            raise AssertionError(f"a daemon of the cluster has ended:\n{self.logs()}")
        return False

    def start_node(self, node):
        self.start_daemon(node, "-D", "-N", node, program="slurmd")

    def start_daemon(self, name, *arguments, program=None):
        command = [program or name, *arguments]
        if self.user:
            command = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups", *command]
        # A daemon's standard streams are none of the test's: whoever reads those would wait for the daemon.
        with (self.folder / f"{name}.out").open("wb") as out:
            self.daemons[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                                                  cwd=self.folder, env=dict(os.environ, **self.environment))

    def kill_daemon(self, name):
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def idle_nodes(self):
        shown = subprocess.run(["sinfo", "--noheader", "--Node", "--format=%T"], env=dict(os.environ, **self.environment),
                               capture_output=True, text=True)
        return shown.stdout.split().count("idle")

    def ask(self, *command):
        """What a Slurm command says, asked as the administrator."""
        admin = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"] if self.user else []
        return subprocess.run([*admin, *map(str, command)], env=dict(os.environ, **self.environment), check=True, capture_output=True, text=True).stdout

    def job(self, number):
        """A job's fields as scontrol shows them."""
        return dict(re.findall(r"(\S+?)=(\S*)", self.ask("scontrol", "show", "job", "-o", number)))

    def end_jobs(self):
        if jobs := self.ask("squeue", "--noheader", "--format=%i").split():
            self.ask("scancel", "--quiet", *jobs)
        wait_until(lambda: not self.ask("squeue", "--noheader").strip(), 30, "the end of all jobs")

    def recover(self):
        """All nodes up and without jobs, whatever the test before has done."""
        self.end_jobs()
        for node in self.nodes:
            if node not in self.daemons:
                self.start_node(node)
        wait_until(lambda: self.idle_nodes() == len(self.nodes), 60, "all nodes to be idle")

    def logs(self):
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in sorted(self.folder.glob("*"))
                         if path.suffix in (".log", ".out"))

    def stop(self):
        """Ends the jobs, the daemons and whatever they left, and removes the files."""
        try:
            if "slurmctld" in self.daemons:
                self.end_jobs()
        except (AssertionError, subprocess.CalledProcessError):
            pass
        self.end_daemons(list(self.daemons))
        shutil.rmtree(self.folder, ignore_errors=True)

    def end_daemons(self, names):
        for name in reversed(names):
            self.daemons[name].send_signal(signal.SIGTERM)
        end = time.monotonic() + 10
        for name in names:
            daemon = self.daemons.pop(name)
            try:
                daemon.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
