#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""experiments/run: an experiment from its machine to its report."""
import contextlib
import io
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

import h5py
import pandas

from harness import BIN, LaunchCase

RUN = pathlib.Path(__file__).resolve().parents[2] / "experiments/run"
sys.path.insert(0, str(RUN.parent))

from suite.box import ExperimentError, in_lanes, memory_kept, nodes_alike, qemu  # noqa: E402
from suite.main import EXPERIMENTS, named, parser  # noqa: E402
from suite.results import Results  # noqa: E402

HAS_DRIVER = "vmicache" in subprocess.run([qemu(), "--version"], capture_output=True, text=True, check=True).stdout


class RunCommand(unittest.TestCase):
    def test_without_a_name_all_experiments_are_meant(self):
        for words in (["--quick"], ["--full"], ["all"], ["density", "all"]):
            self.assertEqual(named(parser().parse_args(words).names), list(EXPERIMENTS))
        self.assertEqual(named(parser().parse_args(["quota", "scale", "--full"]).names), ["quota", "scale"])
        with contextlib.redirect_stderr(io.StringIO()) as said, self.assertRaises(SystemExit):
            parser().parse_args(["unheard-of"])
        self.assertIn("unheard-of", said.getvalue())


class MachineSettings(unittest.TestCase):
    def setUp(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.setting, self.other = folder / "page_reporting_order", folder / "sched_autogroup_enabled"

    def test_the_setting_is_as_it_was_afterwards_whatever_happens(self):
        self.setting.write_text("9\n")
        with self.assertRaises(KeyError), memory_kept(self.setting):
            self.assertEqual(self.setting.read_text(), "11")
            raise KeyError
        self.assertEqual(self.setting.read_text(), "9\n")

    def test_all_settings_are_as_they_were_after_a_sigterm(self):
        self.setting.write_text("9\n")
        self.other.write_text("1\n")
        words = f"""import sys; sys.path.insert(0, {str(RUN.parent)!r})
from suite.box import *
setting, other = pathlib.Path({str(self.setting)!r}), pathlib.Path({str(self.other)!r})
with memory_kept(setting), nodes_alike(other):
    print(setting.read_text(), other.read_text(), flush=True)
    os.kill(os.getpid(), 15)
    time.sleep(60)"""
        done = subprocess.run([sys.executable, "-B", "-c", words], stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (-signal.SIGTERM, "11 0\n"))
        self.assertEqual((self.setting.read_text(), self.other.read_text()), ("9\n", "1\n"))

    def test_what_is_kept_already_or_cannot_be_stays(self):
        self.setting.write_text("11")
        with memory_kept(self.setting):
            self.setting.write_text("9")  # by whom it belongs to
        self.assertEqual(self.setting.read_text(), "9")
        self.setting.unlink()
        with memory_kept(self.setting), nodes_alike(self.other):
            pass
        self.assertFalse(self.setting.exists() or self.other.exists())


class Lanes(unittest.TestCase):
    def setUp(self):
        self.boxes, self.taken = [], []

    @contextlib.contextmanager
    def box(self):
        self.boxes.append(len(self.boxes))
        yield self.boxes[-1]

    def test_each_has_a_cluster_which_takes_the_next_point(self):
        both = threading.Barrier(2, timeout=30)

        def measure(box, point):
            self.taken.append((box, point))
            if point < 2:
                both.wait()
        in_lanes(2, range(5), self.box, measure)
        self.assertEqual((self.boxes, sorted(point for _, point in self.taken)), ([0, 1], [0, 1, 2, 3, 4]))
        self.assertEqual({box for box, point in self.taken if point < 2}, {0, 1})

    def test_there_are_no_more_than_points(self):
        in_lanes(3, [7], self.box, lambda box, point: self.taken.append(point))
        in_lanes(3, [], self.box, self.fail)
        self.assertEqual((self.boxes, self.taken), ([0], [7]))

    def test_after_one_that_fails_none_is_begun(self):
        def measure(_, point):
            self.taken.append(point)
            if point == 1:
                raise ExperimentError("one")
        with self.assertRaisesRegex(ExperimentError, "one"):
            in_lanes(1, range(5), self.box, measure)
        self.assertEqual(self.taken, [0, 1])


class ResultsTest(unittest.TestCase):
    def results(self):
        return Results("some", self.folder, 0.85)

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_what_is_measured_is_kept_and_what_is_void_tried_once_more(self):
        results = self.results()
        self.assertFalse(results.has(nodes=1))
        results.add({"nodes": 1}, 0.9)
        results.add({"nodes": 2}, 0.5)
        results.add({"nodes": 3}, float("nan"))
        later = self.results()
        self.assertEqual([later.has(nodes=nodes) for nodes in (1, 2, 3)], [False, True, False])
        later.add({"nodes": 1}, 0.9)
        self.assertTrue(self.results().has(nodes=1))
        self.assertEqual([row["void"] for row in self.results().rows], [1, 0, 1, 1])

    def test_what_calls_took_that_were_cut_off_counts(self):
        took = self.folder / "took_s"
        took.write_text("100.0\n")
        with self.assertRaises(KeyError), self.results().timed():
            raise KeyError  # before anything was measured
        self.assertEqual(took.read_text(), "100.0\n")
        cut_off = self.results()
        with self.assertRaises(KeyError), cut_off.timed():
            cut_off.add({"nodes": 1}, 0.5)
            raise KeyError
        self.assertEqual(float(took.read_text()), round(cut_off.attributes["took_s"], 1))
        results = self.results()
        with results.timed():
            pass
        self.assertGreaterEqual(results.attributes["took_s"], float(took.read_text()) - 0.1)
        self.assertGreaterEqual(float(took.read_text()), 100)

    def test_two_measurements_may_fail(self):
        results = self.results()
        for text in ("one", "two"):
            with results.going_on():
                raise ExperimentError(text)
        with self.assertRaisesRegex(ExperimentError, "three"), results.going_on():
            raise ExperimentError("three")
        self.assertEqual(results.failures, ["one", "two", "three"])
        with self.assertRaises(KeyError), self.results().going_on():
            raise KeyError


@unittest.skipUnless(os.geteuid() == 0 or "CI" in os.environ, "network namespaces need root")
class Experiments(LaunchCase):
    def experiment(self, name):
        """Runs it quickly, on a machine that may be busy; its result file's folder and what was said."""
        out = self.run_command([RUN, name, "--quick", "--most-cpu", "1.1", "--out", self.folder / "out"])
        folder = self.folder / "out/quick" / name
        for ending in ("h5", "csv", "png", "txt"):
            self.assertGreater((folder / f"{name}.{ending}").stat().st_size, 0, ending)
        return folder, out

    def test_one_image_takes_the_load_off_the_storage_node_and_is_not_measured_twice(self):
        folder, _ = self.experiment("one-image")
        results = pandas.read_csv(folder / "one-image.csv")
        self.assertEqual(set(results.arm) & {"plain", "full", "sent", "held"}, {"plain", "full", "sent", "held"})
        served = results[results.nodes == results.nodes.max()].set_index("arm").served_bytes
        self.assertLess(served["sent"], 0.01 * served["plain"])
        with h5py.File(folder / "one-image.h5") as file:
            self.assertEqual(len(file["results"]), len(results))
            self.assertEqual(len(file["results"].attrs["units"]), len(results.columns))
            for attribute in ("dilation", "trace", "think_factor", "cpu", "qemu_version", "command"):
                self.assertIn(attribute, file.attrs)
        self.assertIn("plain over cache sent", (folder / "one-image.txt").read_text())

        _, again = self.experiment("one-image")
        self.assertNotIn("processors busy ", again.split("Conditions:")[0])
        self.assertEqual(len(pandas.read_csv(folder / "one-image.csv")), len(results))

    def test_distribution_compares_ours_with_what_mpi_and_a_server_do(self):
        folder, _ = self.experiment("distribution")
        results = pandas.read_csv(folder / "distribution.csv")
        self.assertGreater(len(results), 0)
        for _, point in results.groupby(["nodes", "rate_mbit", "size_bytes"]):
            self.assertEqual(sorted(point.scheme), ["MPI_Bcast", "MPI_Bcast tuned", "ours", "read by each", "sbcast"])
            self.assertTrue((point.time_s > 0).all())

    def test_density_sees_the_memory_of_vms_of_both_backends(self):
        folder, _ = self.experiment("density")
        results = pandas.read_csv(folder / "density.csv")
        self.assertEqual(set(results.backend), {"qemu", "libvirt"})
        self.assertTrue((results.vm_pss_bytes > 2**22).all())
        self.assertTrue((results.launcher_pss_bytes > 2**20).all())

    def test_working_set_finds_what_every_boot_reads(self):
        folder, _ = self.experiment("working-set")
        results = pandas.read_csv(folder / "working-set.csv")
        self.assertEqual(sorted(results.boot), [0, 1, 2])
        self.assertTrue((results.common_bytes <= results.unique_bytes).all() and (results.unique_bytes <= results.union_bytes).all())
        self.assertTrue((results.common_bytes > 2**24).all())
        self.assertTrue((results.distinct_bytes <= results.union_bytes).all() and (results.distinct_bytes > 2**24).all())
        self.assertEqual(list(results.in_tiny_bytes), list(results.distinct_bytes))
        self.assertTrue((results.zstd_bytes < results.union_bytes).all() and (results.zstd_bytes > 2**23).all())

    @unittest.skipUnless(HAS_DRIVER, "QEMU has no cache driver")
    def test_quota_bounds_what_a_cache_takes_off_the_base(self):
        folder, _ = self.experiment("quota")
        results = pandas.read_csv(folder / "quota.csv").set_index(["arm", "share"])
        missed = results.missed_bytes
        self.assertEqual(missed["warm", 1.25], 0)
        self.assertGreater(missed["warm", 0.5], 0)
        self.assertLess(missed["warm", 0.5], missed["cold in memory", 0.5])

    def test_scale_sets_simulated_launches_beside_measured_ones(self):
        folder, _ = self.experiment("scale")
        results = pandas.read_csv(folder / "scale.csv")
        self.assertEqual(set(results.kind), {"measured", "simulated box", "simulated"})
        self.assertTrue((results[results.kind == "simulated"].nodes >= 64).all())
        small = results[(results.kind != "measured") & (results.nodes <= 64)]
        self.assertTrue((small.checked_bytes == (small.nodes - 1) * small.size_bytes).all())

    def test_many_images_make_the_disk_seek_unless_there_are_caches(self):
        folder, _ = self.experiment("many-images")
        results = pandas.read_csv(folder / "many-images.csv").set_index(["arm", "images"])
        with h5py.File(folder / "many-images.h5") as file:
            boot = int(file.attrs["trace_bytes"])
        read, seeks, served = results.disk_bytes, results.disk_seeks, results.served_bytes
        self.assertGreater(read["plain", 4], 3.5 * read["plain", 1])
        self.assertGreater(seeks["plain", 4], 3.5 * seeks["plain", 1])
        for arm in ("held", "storage memory"):
            self.assertLess(read[arm, 4], 0.3 * boot)
            self.assertLess(results.base_bytes[arm, 4], 0.1 * boot)
        self.assertLess(served["held", 4], 0.1 * boot)
        self.assertGreater(served["storage memory", 4], 3.5 * boot)
        self.assertIn("different images", (folder / "many-images.txt").read_text())

    @unittest.skipUnless(HAS_DRIVER, "QEMU has no cache driver")
    def test_traffic_shows_what_large_clusters_cost_a_cold_cache_and_what_a_quota_leaves_to_the_base(self):
        folder, _ = self.experiment("traffic")
        results = pandas.read_csv(folder / "traffic.csv").set_index(["arm", "granularity_bytes", "share"])
        read, plain = results.base_bytes, results.base_bytes["plain", 0, 0.0]
        self.assertGreater(read["cold", 65536, 1.25], 1.2 * plain)
        for clusters in (512, 4096):
            self.assertLess(read["cold", clusters, 1.25], 1.02 * plain)
            self.assertLess(read["warm", clusters, 1.25], 0.01 * plain)
            self.assertGreater(read["warm", clusters, 0.5], 0.3 * plain)

    def test_vmireport_says_what_is_wrong_with_a_result_file(self):
        path = self.folder / "other.h5"
        with h5py.File(path, "w") as file:
            file.attrs["experiment"] = "unheard-of"
            file["results"] = [1]
        self.assertIn("unheard-of", self.run_command([BIN / "vmireport", path], expect=3))
        self.assertIn("alone", self.run_command([BIN / "vmireport", path, path], expect=2))


if __name__ == "__main__":
    unittest.main(verbosity=2)
