#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs that go where their caches are."""
import pwd
import subprocess
import unittest

from support import HERE, SlurmCase, contained

SET_FEATURES = HERE.parent.parent / "slurm/site/set-features"


class SlurmPool(SlurmCase):
    def hint(self, *options):
        """What `vmicache nodes` prints for the image, on its standard output alone."""
        command = [self.tools / "vmicache", "nodes", "--image", self.image, "--cache-dir", self.folder / "store", *options]
        return subprocess.run(self.as_user(list(map(str, command))), check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def run_job(self, name, *where, options=(), nodes=2):
        """Returns how its nodes came by the caches, by the nodes' names."""
        record = self.folder / f"{name}.h5"
        self.output = self.run_as_user(self.srun(f"--job-name={name}", *where, *self.launch("--output", record, *options, vms=2), nodes=nodes))
        self.assert_nothing_left()
        tables, self.attributes = self.read_record(record)
        self.nodes = tables["nodes"].sort_values("node")
        job = self.cluster.job(self.attributes["job_id"])
        return job["NodeList"], list(self.nodes.cache_source)

    def assert_nothing_moved(self):
        self.assertEqual((list(self.nodes.wire_bytes), list(self.nodes.payload_bytes)), ([0, 0], [0, 0]))
        self.assertEqual(self.attributes["nodes_held"], 2)
        self.assertIn("2 of 2 nodes held them already, 0 bytes sent", self.output)

    def test_the_second_job_lands_on_the_warm_nodes_and_moves_nothing(self):
        self.assertEqual(self.hint(), "")
        self.assertEqual(self.run_job("first", "--nodelist=n[2-3]"), ("n[2-3]", ["copied", "received"]))
        hint = self.hint("--count", "2")
        self.assertEqual(hint, "n[2-3]")
        self.assertEqual(self.run_job("second", f"--nodelist={hint}"), ("n[2-3]", ["held", "held"]))
        self.assert_nothing_moved()
        # A node that lacks it receives it, and is a warm one from then on.
        self.assertEqual(self.run_job("third", "--nodelist=n[1-2]"), ("n[1-2]", ["copied", "held"]))
        self.assertEqual(self.hint(), "n[1-3]")
        # One that evicts it is none any more.
        self.run_job("last", "--nodelist=n3", options=("--node-budget", "0"), nodes=1)
        self.assertEqual(self.hint(), "n[1-2]")
        self.assertIn(self.hint("--count", "1", "--max-age", "1h"), ("n1", "n2"))

    def test_a_job_prefers_the_nodes_that_an_administrator_gave_features(self):
        self.run_job("first", "--nodelist=n[2-3]")
        feature = self.hint("--format", "prefer")
        self.assertTrue(feature.startswith(f"vmi_{pwd.getpwnam(self.user).pw_uid}_"))
        self.cluster.ask("scontrol", "update", "NodeName=n3", "AvailableFeatures=big", "ActiveFeatures=big")
        self.cluster.ask(SET_FEATURES, self.folder / "store")
        self.assertEqual(self.features(), {"n0": "", "n1": "", "n2": feature, "n3": f"big,{feature}"})
        self.assertEqual(self.run_job("second", f"--prefer={feature}"), ("n[2-3]", ["held", "held"]))
        self.assert_nothing_moved()
        self.run_job("last", "--nodelist=n[2-3]", options=("--node-budget", "0"))
        self.cluster.ask(SET_FEATURES, self.folder / "store")
        self.assertEqual(self.features(), {"n0": "", "n1": "", "n2": "", "n3": "big"})

    def features(self):
        shown = self.cluster.ask("sinfo", "--noheader", "--Node", "--format=%N|%b").replace("(null)", "")
        return dict(line.split("|") for line in shown.splitlines())

    def test_without_a_warm_node_the_hint_leaves_the_choice_to_slurm(self):
        self.assertEqual(self.run_job("anywhere", f"--nodelist={self.hint()}")[1], ["copied", "received"])


class SlurmPoolOfAUser(SlurmPool):
    """Slurm's daemons themselves are the ordinary user's."""

    owner = "user"
    test_a_job_prefers_the_nodes_that_an_administrator_gave_features = test_without_a_warm_node_the_hint_leaves_the_choice_to_slurm = None


if __name__ == "__main__":
    contained()
    unittest.main(verbosity=2)
