#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Caches that fill while VMs boot, and the cache-enabled driver's counts held against the base's own server."""
import datetime
import json
import re
import shutil
import subprocess
import unittest

from harness import BIN, LaunchCase, driver_qemu, image, wait_until

MIB = 2**20


class ColdCase(LaunchCase):
    qemu = "qemu-system-x86_64"

    def serve_logged(self, path):
        """nbdkit with a line for each request; returns the URL and a function that gives the reads so far: (time, bytes)."""
        socket, log = (self.folder / f"log-{len(self.running)}.{end}" for end in ("sock", "txt"))
        self.start(["nbdkit", "--foreground", "--readonly", "--unix", socket, "--filter=log", "file", path, f"logfile={log}"], TZ="UTC")
        wait_until(socket.exists, 30, "nbdkit's socket")

        def reads():
            found = re.findall(r"^(\S+ \S+) connection=\d+ Read id=\d+ offset=\S+ count=(0x[0-9a-f]+)", log.read_text(), re.M)
            return [(datetime.datetime.fromisoformat(when).replace(tzinfo=datetime.timezone.utc).timestamp(), int(count, 16))
                    for when, count in found]
        return f"nbd+unix:///?socket={socket}", reads

    def launch(self, name, url, *options, vms=1, ranks=None):
        record = self.folder / f"{name}.h5"
        self.output = self.run_command(self.vmilaunch(
            "--image", url, "--vms", vms, "--cache", "cold", "--qemu", self.qemu, "--output", record, *options, ranks=ranks))
        self.assert_nothing_left()
        tables, self.attributes = self.read_record(record)
        self.assertEqual(set(tables["vms"].state), {"ready"})
        return tables

    def small_guest(self):
        """A disk whose boot sector reads 32 KiB from 64 KiB on, and says READY."""
        disk = self.folder / "small.raw"
        shutil.copy(BIN.parent / "tests/supervisor/READY.boot", disk)
        with disk.open("r+b") as file:
            file.truncate(16 * MIB)
            file.seek(64 * 1024)
            file.write(b"A" * 32 * 1024)
        return disk

    def filled_cache(self):
        [cache] = (path for path in (self.node_dir / "cache").glob("filled-*") if path.suffix != ".used")
        return cache

    def assert_true_to(self, cache, base):
        """Every byte that the cache holds is the base's; returns how many bytes of data it holds, and of zeroes."""
        copy = self.folder / "copy.qcow2"
        shutil.copy(cache, copy)
        subprocess.run(["qemu-img", "rebase", "-q", "-u", "-F", "qcow2", "-b", base, copy], check=True)
        subprocess.run(["qemu-img", "check", "-q", copy], check=True)
        subprocess.run(["qemu-img", "compare", "-q", copy, base], check=True)
        extents = json.loads(subprocess.check_output(["qemu-img", "map", "--output=json", copy]))
        return [sum(extent["length"] for extent in extents if extent["depth"] == 0 and extent["zero"] == zero) for zero in (False, True)]


class ColdCache(ColdCase):
    def check(self, backend, granularity):
        self.qemu = driver_qemu()
        url, reads = self.serve_logged(image("tiny"))
        options = ["--backend", backend, "--granularity", granularity, "--quota", "64M"]

        tables = self.launch("cold", url, *options)
        served = sum(count for _, count in reads())
        cold = tables["vms"].iloc[0]
        cache = self.filled_cache()
        data, zeroes = self.assert_true_to(cache, image("tiny"))
        unique = int(cold.bytes_filled)  # each once; what of it is zero takes no clusters
        print(f"{backend}, {granularity}: cold served {served} for {unique} unique bytes ({served / unique:.4f}), file {cache.stat().st_size}")
        self.assertEqual((self.attributes["driver"], self.attributes["backend"]), ("vmicache", backend))
        self.assertEqual(tables["nodes"].cache_source[0], "filled")
        self.assertEqual(tables["nodes"].payload_bytes[0], cache.stat().st_size)
        self.assertEqual((tables["images"]["mode"][0], tables["images"]["quota"][0]), ("cold", 64 * MIB))
        self.assertGreater(unique, 20 * MIB, "a boot reads tens of MiB")
        self.assertLessEqual(served, 1.02 * unique)
        self.assertLessEqual(cache.stat().st_size, 64 * MIB)
        self.assertLessEqual(data, unique)
        self.assertLessEqual(unique, data + zeroes)
        self.assertLessEqual(cold.bytes_miss, unique)
        self.assertGreater(cold.bytes_miss, 0.9 * unique)

        already = len(reads())
        tables = self.launch("warm", url, *options)
        warm = tables["vms"].iloc[0]
        start = datetime.datetime.fromisoformat(self.attributes["start"].replace("Z", "+00:00")).timestamp()
        first = start + warm.t_running
        opening = sum(count for when, count in reads()[already:] if when < first)
        booting = sum(count for when, count in reads()[already:] if when >= first)
        print(f"{backend}, {granularity}: warm served {opening} while opening and {booting} while booting")
        self.assertEqual(tables["nodes"].cache_source[0], "held")
        self.assertLessEqual(booting, 0.001 * unique)
        self.assertLessEqual(warm.bytes_miss, booting)
        self.assertEqual(warm.bytes_filled, 0)
        self.assertGreater(warm.hits, 100)
        self.assertGreater(warm.bytes_hit, 0.9 * unique)

    def test_fills_and_is_warm_next_time_under_libvirt(self):
        self.check("libvirt", "4K")

    def test_fills_and_is_warm_next_time_under_qemu(self):
        self.check("qemu", "512")


class ColdLimits(ColdCase):
    def test_half_a_quota_boots_all_the_same(self):
        self.qemu = driver_qemu()
        quota = 18 * MIB
        tables = self.launch("half", image("tiny"), "--quota", quota)
        vm = tables["vms"].iloc[0]
        cache = self.filled_cache()
        self.assertLessEqual(cache.stat().st_size, quota)
        held, _ = self.assert_true_to(cache, image("tiny"))
        self.assertGreaterEqual(vm.bytes_filled, held)
        self.assertGreater(held, 0.9 * quota)
        self.assertGreater(vm.bytes_miss, held)
        again = self.launch("again", image("tiny"), "--quota", quota)["vms"].iloc[0]
        self.assertEqual(again.bytes_filled, 0)
        self.assertGreaterEqual(again.bytes_hit, 0.9 * held)
        # What the guest reads is the same in both boots, wherever it comes from.
        self.assertAlmostEqual((again.bytes_hit + again.bytes_miss) / (vm.bytes_hit + vm.bytes_miss), 1, delta=0.002)

    def test_an_image_that_changed_behind_its_server_is_noticed(self):
        self.qemu = driver_qemu()
        base = self.small_guest()
        url, _ = self.serve_logged(base)
        for expected in ("filled", "held"):
            self.assertEqual(self.launch(expected, url, "--ready", "serial:READY")["nodes"].cache_source[0], expected)
        with base.open("r+b") as file:
            file.seek(64 * 1024)
            file.write(b"B" * 32 * 1024)
        tables = self.launch("changed", url, "--ready", "serial:READY", vms=2, ranks=2)
        self.assertEqual(set(tables["nodes"].cache_source), {"filled"})
        self.assertIn("is dropped", self.output)

    def test_stock_qemu_fills_by_copy_on_read(self):
        base = self.small_guest()
        for expected in ("filled", "held"):
            tables = self.launch(expected, base, "--ready", "serial:READY", "--driver", "copy-on-read", vms=4, ranks=2)
            self.assertEqual(list(tables["nodes"].cache_source), [expected, expected])
            self.assertEqual(self.attributes["driver"], "copy-on-read")
            self.assertIn("knows no quota", self.output)
        copy = self.folder / "copy.qcow2"
        shutil.copy(self.filled_cache(), copy)
        extents = json.loads(subprocess.check_output(["qemu-img", "map", "--output=json", copy]))
        self.assertEqual([(e["start"], e["length"]) for e in extents if e["depth"] == 0 and e["start"]], [(64 * 1024, 32 * 1024)])

    def test_a_vm_that_was_not_ready_leaves_no_cache(self):
        self.qemu = driver_qemu()
        base = self.small_guest()
        self.run_command(self.vmilaunch("--image", base, "--vms", 1, "--cache", "cold", "--qemu", self.qemu, "--ready", "serial:never",
                                        "--timeout", "3s", "--output", self.folder / "late.h5"), expect=124)
        self.assert_nothing_left()
        self.assertEqual(list((self.node_dir / "cache").iterdir()), [])


if __name__ == "__main__":
    unittest.main()
