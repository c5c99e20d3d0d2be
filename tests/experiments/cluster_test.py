#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""experiments/cluster: what runs in it, and that nothing of it stays."""
import json
import os
import pathlib
import signal
import subprocess
import unittest

from harness import BIN, image, processes_with, wait_until
from replay_test import ReplayCase

CLUSTER = pathlib.Path(__file__).resolve().parents[2] / "experiments/cluster"


def shown(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def namespaces(name):
    return [line.split()[0] for line in shown("ip", "netns", "list").splitlines() if line.startswith(f"vmi-{name}-")]


@unittest.skipUnless(os.geteuid() == 0 or "CI" in os.environ, "network namespaces need root")
class Cluster(ReplayCase):
    def setUp(self):
        super().setUp()
        self.names = [f"t{os.getpid() % 1000000}{letter}" for letter in "ab"]
        self.links = shown("ip", "-br", "link")
        self.addCleanup(self.take_down)

    def take_down(self):
        for name in self.names:
            subprocess.run([CLUSTER, "down", "--name", name], check=True)

    def up(self, name, *options):
        self.run_command([CLUSTER, "up", "--name", name, *options])

    def run_in(self, name, *command, expect=0):
        return self.run_command([CLUSTER, "run", "--name", name, "--", *command], expect=expect)

    def assert_gone(self, name):
        def remains():
            places = (pathlib.Path(f"/run/vmilaunch-cluster/{name}"), pathlib.Path(f"/dev/shm/vmi-cluster-{name}"))
            return [*namespaces(name), *filter(pathlib.Path.exists, places), *processes_with(f"/vmilaunch-cluster/{name}/").values(),
                    *processes_with(f"--name {name} ").values()]
        wait_until(lambda: not remains(), 20, lambda: f"the end of {remains()}")
        self.assertEqual(shown("ip", "-br", "link"), self.links)

    def test_ranks_are_on_nodes_of_their_own_and_nothing_stays(self):
        name = self.names[0]
        self.up(name, "--nodes", 4, "--rate", "200mbit")
        out = self.run_in(name, "mpirun", "-n", 4, "sh", "-c", "echo on $(hostname) at $(hostname -I) in $VMILAUNCH_NODE_DIR")
        for i in range(4):
            self.assertIn(f"on node{i} at 10.77.0.{i + 1} in /dev/shm/vmi-cluster-{name}/node{i}", out.replace("  ", " "))
        self.run_in(name, "sh", "-c", "exit 7", expect=7)
        print(f"links of 200 Mbit/s give {self.run_command([CLUSTER, 'rate', '--name', name]).strip()} Mbit/s")
        for _ in range(2):
            self.run_command([CLUSTER, "down", "--name", name])
            self.assert_gone(name)

    def test_a_launch_gets_the_right_bytes_over_the_links_without_a_cache_with_its_own_and_from_the_servers_memory(self):
        name = self.names[0]
        trace, known = self.recorded()
        cache = self.cache_of("tiny")
        self.up(name, "--nodes", 4, "--rate", "1gbit", "--image", image("tiny"), "--disk", "0us:1GB", "--in-memory", cache)
        served = [int(self.run_command([CLUSTER, "served", "--name", name]))]
        of_base = [0]
        memory = f"nbd://10.77.255.1:10810/{cache.name}"
        for options in (["none"], [cache], [cache, "--cache-placement", memory]):
            self.run_in(name, "mpirun", "-n", 4, "sh", "-c", 'exec "$0" --image "$VMI_CLUSTER_NBD/tiny.qcow2" "$@"', BIN / "vmilaunch", "--vms", 4,
                        "--cache", *options, "--machine", "microvm", "--memory", "32M", "--kernel", BIN / "replay.elf", "--initrd", trace,
                        "--append", "think=0.02", "--accel", "tcg", "--ready", f"serial:full={known['full']}", "--output", self.folder / "run.h5")
            tables, _ = self.read_record(self.folder / "run.h5")
            self.assertEqual(sorted(tables["nodes"].hostname), [f"node{i}" for i in range(4)])
            served.append(int(self.run_command([CLUSTER, "served", "--name", name])))
            of_base.append(json.loads(self.run_command([CLUSTER, "disk", "--name", name]))["asked_bytes"])
        self.assertGreater(served[1] - served[0], 4 * known["read_bytes"] * 0.9)
        self.assertLess(served[2] - served[1], known["read_bytes"])
        self.assertEqual(set(tables["nodes"].cache_source), {"shared"})
        self.assertGreater(served[3] - served[2], 4 * known["read_bytes"] * 0.9)
        self.assertGreater(of_base[1], 4 * known["read_bytes"] * 0.9)
        self.assertLess(of_base[3] - of_base[1], known["read_bytes"])
        self.assertIn("not the cache", self.run_in(name, BIN / "vmilaunch", "--image", "nbd://10.77.255.1/tiny.qcow2", "--vms", 1, "--cache", cache,
                                                   "--cache-placement", "nbd://10.77.255.1/tiny.qcow2", "--output", self.folder / "run.h5", expect=3))
        self.run_command([CLUSTER, "down", "--name", name])
        self.assert_gone(name)

    def test_a_launch_gets_the_right_bytes_from_nfs_and_nothing_of_it_listens_on_this_machine(self):
        def listening():
            return sorted(line.split()[4] for line in shown("ss", "-ltnuH").splitlines() if line.split()[4].rsplit(":", 1)[1] in ("111", "2049"))
        name, before = self.names[0], listening()
        trace, known = self.recorded()
        self.up(name, "--nodes", 1, "--nfs", "--image", image("tiny"))
        self.assertEqual(listening(), before)
        self.assertIn(":2049", self.run_in(name, "nsenter", f"--net=/run/netns/vmi-{name}-storage", "ss", "-ltnH"))
        served = [int(self.run_command([CLUSTER, "served", "--name", name]))]
        for cache in ("none", self.cache_of("tiny")):
            self.run_in(name, "sh", "-c", 'exec "$0" --image "$VMI_CLUSTER_NFS/tiny.qcow2" "$@"', BIN / "vmilaunch", "--vms", 1, "--cache", cache,
                        "--machine", "microvm", "--memory", "32M", "--kernel", BIN / "replay.elf", "--initrd", trace, "--append", "think=0.02",
                        "--accel", "tcg", "--ready", f"serial:full={known['full']}", "--output", self.folder / "run.h5")
            tables, attributes = self.read_record(self.folder / "run.h5")
            self.assertEqual(set(tables["vms"].state), {"ready"})
            served.append(int(self.run_command([CLUSTER, "served", "--name", name])))
        self.assertEqual(attributes["driver"], "qcow2")
        self.assertGreater(served[1] - served[0], 0.9 * known["read_bytes"])
        self.assertLess(served[2] - served[1], 0.1 * known["read_bytes"])
        self.run_command([CLUSTER, "down", "--name", name])
        self.assert_gone(name)
        self.assertEqual([command for command in processes_with("ganesha").values() if f"/{name}/" in command], [])

    def test_two_clusters_do_not_meet(self):
        for name in self.names:
            self.up(name, "--nodes", 2)
        holder = self.start([CLUSTER, "run", "--name", self.names[0], "--", "sleep", "600"])
        self.run_command([CLUSTER, "down", "--name", self.names[1]])
        self.assert_gone(self.names[1])
        self.assertIsNone(holder.process.poll())
        self.assertIn("node1", self.run_in(self.names[0], "mpirun", "-n", 2, "hostname"))
        self.run_command([CLUSTER, "down", "--name", self.names[0]])
        self.assert_gone(self.names[0])

    def test_a_modelled_disk_gives_the_images_bytes_and_counts_what_they_cost(self):
        name = self.names[0]
        picture = self.folder / "picture.raw"
        picture.write_bytes(os.urandom(2**20))
        disk = ("--disk", "1ms:50MB", "--copies", 2)
        self.up(name, "--nodes", 2, *disk, "--image", picture, "--in-memory", picture)

        def counted_after(*words):
            self.run_in(name, *words, "sh", "-c", 'nbdcopy --connections=1 --requests=1 "$0" "$1-$(hostname)"', url, self.folder / "copy")
            return json.loads(self.run_command([CLUSTER, "disk", "--name", name]))
        url = "nbd://10.77.255.1/picture.raw"
        first = counted_after()
        self.assertEqual((self.folder / "copy-node0").read_bytes(), picture.read_bytes())
        self.assertEqual((first["disk_bytes"], first["seeks"]), (2**20, 1))
        self.assertAlmostEqual(first["busy_s"], 0.001 + 2**20 / 50e6, places=5)
        both = counted_after("mpirun", "-n", 2)  # node0 finds its copy in memory, node1 has another
        self.assertEqual((self.folder / "copy-node1").read_bytes(), picture.read_bytes())
        self.assertEqual((both["disk_bytes"], both["seeks"], both["asked_bytes"]), (2 * 2**20, 2, 3 * 2**20))

        self.run_command([CLUSTER, "storage", "--name", name, *disk, "--storage-memory", 0])
        counted_after()
        self.assertEqual(counted_after()["disk_bytes"], 2 * 2**20)
        url = "nbd://10.77.255.1:10810/picture.raw"
        self.assertEqual(counted_after()["disk_bytes"], 2 * 2**20)
        self.assertEqual((self.folder / "copy-node0").read_bytes(), picture.read_bytes())

    def test_down_ends_what_a_killed_run_left(self):
        name = self.names[0]
        self.up(name, "--nodes", 4)
        running = self.start([CLUSTER, "run", "--name", name, "--", "mpirun", "-n", 4, "sh", "-c", "trap '' TERM; echo there; while :; do sleep 1; done"])
        running.wait_for_line("(there[^t]*){4}")
        os.kill(running.process.pid, signal.SIGKILL)
        self.run_command([CLUSTER, "down", "--name", name])
        self.assert_gone(name)

    def test_with_takes_its_cluster_along_however_it_ends(self):
        name = self.names[0]
        self.assertIn("node1", self.run_command([CLUSTER, "with", "--name", name, "--nodes", 2, "--", "mpirun", "-n", 2, "hostname"]))
        self.assert_gone(name)
        self.run_command([CLUSTER, "with", "--name", name, "--nodes", 2, "--", "sh", "-c", "exit 3"], expect=3)
        self.assert_gone(name)
        for number in (signal.SIGTERM, signal.SIGKILL):
            running = self.start([CLUSTER, "with", "--name", name, "--nodes", 2, "--", "sh", "-c", "echo there; exec sleep 600"])
            running.wait_for_line("there")
            os.kill(running.process.pid, number)
            self.assert_gone(name)

    def test_a_cluster_with_storage_elsewhere_goes_with_the_process_that_owns_it(self):
        name = self.names[0]
        owner = self.start(["sleep", "600"])
        self.up(name, "--nodes", 2, "--owner", owner.process.pid, "--node-storage", self.folder)
        self.run_in(name, "mpirun", "-n", 2, "sh", "-c", 'touch "$VMILAUNCH_NODE_DIR/here"')
        self.assertEqual(len(list(self.folder.glob(f"vmi-cluster-{name}/node?/here"))), 2)
        os.kill(owner.process.pid, signal.SIGKILL)
        owner.process.wait()
        self.assert_gone(name)
        self.assertEqual(list(self.folder.glob("vmi-cluster-*")), [])

    def test_slurm_runs_on_the_nodes_and_goes_with_them(self):
        name = self.names[0]
        self.up(name, "--nodes", 3, "--slurm")
        out = self.run_in(name, "srun", "--nodes", 3, "--ntasks", 3, "sh", "-c", "echo on $(hostname) at $(hostname -I) in $VMILAUNCH_NODE_DIR")
        for i in range(3):
            self.assertIn(f"on node{i} at 10.77.0.{i + 1} in /dev/shm/vmi-cluster-{name}/node{i}", out.replace("  ", " "))
        script = 'echo word > "$0" && exec sbcast "$0" "$VMI_CLUSTER_LOCAL/here"'
        self.run_in(name, "salloc", "--quiet", "--nodes", 3, "sh", "-c", script, self.folder / "file")
        copies = [pathlib.Path(f"/dev/shm/vmi-cluster-{name}/node{i}/here").read_text() for i in range(3)]
        self.assertEqual(copies, ["word\n"] * 3)
        self.run_command([CLUSTER, "down", "--name", name])
        self.assert_gone(name)

    def test_the_batch_script_for_real_clusters_runs_as_it_is(self):
        name = self.names[0]
        trace, known = self.recorded()
        cache = self.cache_of("tiny")
        self.up(name, "--nodes", 2, "--slurm", "--image", image("tiny"))
        script = CLUSTER.parent / "sbatch/start-up.sbatch"
        replayed = ["--machine", "microvm", "--memory", "32M", "--kernel", BIN / "replay.elf", "--initrd", trace, "--append", "think=0.02",
                    "--accel", "tcg", "--ready", f"serial:full={known['full']}"]
        self.run_in(name, "env", f"PATH={BIN}:{os.environ['PATH']}", f"CACHE={cache}", "REPEATS=1", "ARMS=sent held", "sbatch", "--wait", "--chdir",
                    self.folder, "--nodes", 2, "--cpus-per-task", 1, "--mem", "1G", script, f"nbd://10.77.255.1/{image('tiny').name}", *replayed)
        folder = self.folder / "start-up-1"
        self.assertEqual({path.name for path in folder.iterdir()},
                         {"report.txt", *(f"{arm}-{nodes}-1.h5" for arm in ("sent", "held") for nodes in (1, 2))})
        sources = [sorted(self.read_record(folder / f"{arm}-2-1.h5")[0]["nodes"].cache_source) for arm in ("sent", "held")]
        self.assertIn("received", sources[0])
        self.assertEqual(sources[1], ["held", "held"])
        self.assertIn("ready since launch", (folder / "report.txt").read_text())

    def test_what_cannot_be_made_is_refused_and_leaves_nothing(self):
        name = self.names[0]
        self.assertIn("--nodes", self.run_command([CLUSTER, "up", "--name", name, "--nodes", "many"], expect=2))
        self.assertIn("/no/such", self.run_command([CLUSTER, "up", "--name", name, "--image", "/no/such"], expect=2))
        self.assertIn("--owner", self.run_command([CLUSTER, "up", "--name", name, "--owner", "4194305"], expect=2))
        self.assertIn("--node-storage", self.run_command([CLUSTER, "up", "--name", name, "--node-storage", "/no/such"], expect=2))
        self.assertIn("--disk", self.run_command([CLUSTER, "up", "--name", name, "--disk", "fast"], expect=2))
        self.assertIn("--nfs", self.run_command([CLUSTER, "up", "--name", name, "--nfs"], expect=2))
        self.assertIn("--copies", self.run_command([CLUSTER, "up", "--name", name, "--copies", "2"], expect=2))
        self.run_command([CLUSTER, "up", "--name", name, "--rate", "fast"], expect=1)
        self.assert_gone(name)
        self.assertIn("up --name", self.run_command([CLUSTER, "run", "--name", name, "true"], expect=1))
        self.up(name, "--nodes", 1)
        self.assertIn("already", self.run_command([CLUSTER, "up", "--name", name], expect=1))
        out = self.run_command(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", CLUSTER, "up"], expect=4)
        self.assertIn("root", out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
