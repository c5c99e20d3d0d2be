#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests' own Slurm cluster, where the machine is not as it was when the cluster was planned."""
import pathlib
import shutil
import socket
import tempfile
import unittest

from support import contained

from cluster import Cluster


class SlurmPorts(unittest.TestCase):
    def test_a_port_that_somebody_took_meanwhile_is_replaced(self):
        place = pathlib.Path(tempfile.mkdtemp(prefix="vmi-slurm-nodes-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, place, ignore_errors=True)
        cluster = Cluster(place, nodes=2)
        self.addCleanup(cluster.stop)
        for port in cluster.ports[:2]:  # the controller's, and a node's
            other = socket.create_server(("0.0.0.0", port))
            self.addCleanup(other.close)
        planned = cluster.ports
        cluster.start()
        self.assertEqual(cluster.idle_nodes(), 2)
        self.assertFalse(set(planned[:2]) & set(cluster.ports))


if __name__ == "__main__":
    contained()
    unittest.main(verbosity=2)
