#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""launch_simulation: the product's distribution and agreement on simulated nodes."""
import json
import sys
import unittest

from harness import BIN, LaunchCase

NODES, SIZE = 64, 2**20 + 1000  # several chunks, the last one short


class Simulation(LaunchCase):
    def simulate(self, *options, nodes=NODES, size=SIZE, expect=0):
        return self.run_command([BIN / "launch_simulation", "--nodes", nodes, "--size", size, *options], expect=expect)

    def found(self, *options, **more):
        out = self.simulate(*options, **more)
        return json.loads(out[out.index("{"):])

    def test_every_node_gets_every_byte_and_rank_0_every_letter(self):
        for scheme in ("automatic", "chain"):
            found = self.found("--scheme", scheme)
            self.assertEqual(found["checked_bytes"], (NODES - 1) * SIZE)
            self.assertEqual(found["scheme"], "two_trees" if scheme == "automatic" else "chain")
            self.assertEqual(found["letters"], 6 * NODES)
            self.assertEqual(set(found["seconds"]), {"plan", "offer", "distribute", "prepare", "boot", "end"})

    def test_what_one_node_finds_damaged_fails_the_launch_on_all(self):
        out = self.simulate("--damage", "5", expect=4)
        self.assertIn("rank 5 on node5: distributing the caches: chunk 0", out)
        self.assertIn(f"{NODES} of {NODES} ranks failed", out)

    def test_time_is_the_simulation_s_alone(self):
        first, second = self.found(), self.found()
        self.assertEqual(first, second)
        without = self.found("--contents", "none")
        self.assertEqual(without["checked_bytes"], 0)
        self.assertAlmostEqual(without["seconds"]["distribute"], first["seconds"]["distribute"], places=4)

    def test_twice_the_rate_makes_it_faster(self):
        self.assertLess(self.found("--rate", "200")["seconds"]["distribute"], self.found("--rate", "100")["seconds"]["distribute"])

    def test_no_link_carries_more_than_its_rate_and_the_data_s_path_keeps_it_busy(self):
        size, rate = 16 * 2**20, 1000
        found = self.found("--rate", str(rate), "--contents", "none", size=size)
        limit = size * 8e-6 / rate  # of the model; not of this machine's clock
        self.assertGreater(found["seconds"]["distribute"], limit)
        self.assertLess(found["seconds"]["distribute"], 1.15 * limit)

    def test_a_switch_that_carries_less_than_its_links_bounds_them_all(self):
        size, backbone = 2**20, 4000
        found = self.found("--backbone", str(backbone), "--contents", "none", size=size)
        self.assertGreater(found["seconds"]["distribute"], (NODES - 1) * size * 8e-6 / backbone)

    def test_two_thousand_nodes_fit_and_rank_0_hears_them_all(self):
        found = self.found("--contents", "none", nodes=2000, size=2**18)
        self.assertEqual((found["nodes"], found["letters"]), (2000, 6 * 2000))

    def test_bad_options_are_refused_by_name(self):
        self.assertIn("--rate", self.simulate("--rate", "fast", expect=2))
        self.assertIn("--nodes", self.simulate(nodes=0, expect=2))


if __name__ == "__main__":
    unittest.main(verbosity=2)
