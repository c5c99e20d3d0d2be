#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The replay guest: a recorded boot of `tiny`, made again by a guest that proves what it read."""
import fcntl
import json
import os
import re
import shutil
import subprocess
import unittest

from harness import BIN, LaunchCase, driver_qemu, image


def guest_alone(program, trace, arguments, *options):
    """The command of the guest under a QEMU of the test's own; `options` name its disk, `disk`."""
    return [program, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "microvm,acpi=off", "-accel", "tcg",
            "-global", "virtio-mmio.force-legacy=false", "-m", "32M", "-kernel", BIN / "replay.elf", "-initrd", trace, "-append", arguments,
            "-device", "virtio-blk-device,drive=disk", "-serial", "stdio", *options]


class ReplayCase(LaunchCase):
    def recorded(self, name="tiny"):
        """(trace, what the image must give): a boot that is recorded once for the tests of one run."""
        cache = self.cache_of(name)
        trace = cache.with_suffix(".trace")
        with (cache.parent / f"{name}.trace-lock").open("w") as lock:  # two tests at once record two boots, which differ
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not trace.exists():
                recording = self.folder / "recording.h5"
                self.run_command([BIN / "vmicache", "build", "--image", image(name), "--output", self.folder / "other.vmic",
                                  "--accel", "tcg", "--trace-out", recording])
                self.run_command([BIN / "replay-trace", "convert", recording, self.folder / "new.trace"])
                shutil.move(self.folder / "new.trace", trace)
        return trace, json.loads(self.run_command([BIN / "replay-trace", "expect", trace, image(name)]))

    def replay(self, trace, url, *options, ready="REPLAY-DONE", arguments="think=0.02", expect=0):
        return self.run_command(self.vmilaunch(
            "--image", url, "--vms", 1, "--machine", "microvm", "--memory", "32M", "--kernel", BIN / "replay.elf", "--initrd", trace,
            "--append", arguments, "--ready", f"serial:{ready}", "--output", self.folder / "run.h5", *options), expect=expect)


class Replay(ReplayCase):
    def test_it_reads_what_the_image_holds_by_both_backends_with_and_without_a_cache(self):
        trace, known = self.recorded()
        proof = f"REPLAY-DONE reads={known['reads']} writes={known['writes']} .*full={known['full']}"
        for backend in ("qemu", "libvirt"):
            for cache in ("none", self.cache_of("tiny")):
                with self.subTest(backend=backend, cache=str(cache)):
                    self.replay(trace, image("tiny"), "--cache", cache, "--accel", "tcg", "--backend", backend, ready=proof)
        tables, _ = self.read_record(self.folder / "run.h5")
        print(f"CPU time {tables['vms'].cpu_s[0]:.2f} s, resident {tables['vms'].rss_bytes[0] / 2**20:.0f} MiB")
        self.assert_nothing_left()

    def test_it_runs_under_kvm(self):
        if not os.access("/dev/kvm", os.R_OK | os.W_OK):
            self.skipTest("/dev/kvm does not open")
        trace, known = self.recorded()
        # Where KVM emulates each instruction, checking all bytes would take minutes.
        self.replay(trace, image("tiny"), "--cache", self.cache_of("tiny"), "--accel", "kvm", "--cpu", "qemu64", arguments="think=0.02 check=sample",
                    ready=f"REPLAY-DONE .*sample={known['sample']}")
        _, attributes = self.read_record(self.folder / "run.h5")
        self.assertEqual(attributes["accel"], "kvm")
        self.assert_nothing_left()

    def test_wrong_content_of_the_base_shows(self):
        trace, known = self.recorded()
        base = self.folder / "base.qcow2"
        shutil.copy(image("tiny"), base)
        # One byte of the partition table's sector, which every boot reads.
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 0x55 440 1", str(base)], check=True, stdout=subprocess.DEVNULL)
        self.replay(trace, base, "--cache", "none", "--accel", "tcg")
        out = self.replay(trace, base, "--cache", "none", "--accel", "tcg", "--timeout", "15s", ready=f"full={known['full']}", expect=124)
        self.assertIn("REPLAY-DONE", out, "the guest's own sum is among its last words")
        self.assertNotIn(known["full"], out.split("REPLAY-DONE", 1)[1].splitlines()[0])

    def test_it_says_what_is_wrong_with_its_trace(self):
        not_a_trace = self.folder / "other"
        not_a_trace.write_bytes(b"something else" * 10)
        out = self.replay(not_a_trace, image("tiny"), "--cache", "none", "--accel", "tcg", "--timeout", "10s", expect=124)
        self.assertIn("REPLAY-FAILED the module is no trace", out)

    def test_the_barrier_holds_it_until_a_byte_arrives(self):
        trace, known = self.recorded()
        process = subprocess.Popen(
            guest_alone("qemu-system-x86_64", trace, "barrier think=0.02", "-snapshot", "-drive", f"if=none,id=disk,file={image('tiny')}"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "ARMED\n")
        process.stdin.write("g")
        process.stdin.flush()
        self.assertIn(f"full={known['full']}", process.stdout.readline())

    def threads_of(self, trace, disk, expect):
        """A boot from the node `disk` by the QEMU with the drivers: the threads that took its reads, and those that completed its requests."""
        log = self.folder / "trace.log"
        guest = self.start(guest_alone(
            driver_qemu(), trace, "think=0", "-global", "virtio-mmio.ioeventfd=off", "-blockdev", json.dumps({**disk, "node-name": "disk"}),
            "-trace", "virtio_blk_handle_read", "-trace", "virtio_blk_rw_complete", "-msg", "timestamp=on", "-D", log))
        self.assertIn(expect, guest.wait_for_line("REPLAY-.*\n").group())
        guest.process.terminate()
        guest.wait()
        lines = log.read_text()
        return [re.findall(rf"^(\d+)@[\d.]+:{event} ", lines, re.MULTILINE) for event in ("virtio_blk_handle_read", "virtio_blk_rw_complete")]

    def test_what_is_in_memory_is_read_by_the_thread_that_asked(self):
        trace, known = self.recorded()
        raw = self.node_dir / "base.raw"
        subprocess.run(["qemu-img", "convert", "-O", "raw", image("tiny"), raw], check=True)
        overlay = self.folder / "overlay.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", raw, overlay], check=True)
        asked, completed = self.threads_of(trace, {
            "driver": "qcow2", "file": {"driver": "file", "filename": str(overlay)},
            "backing": {"driver": "vmipagecache", "file": {"driver": "file", "filename": str(raw)}, "read-only": True}}, f"full={known['full']}")
        self.assertEqual((len(asked), len(completed)), (known["reads"], known["reads"] + known["writes"]))
        self.assertEqual(len(set(asked)), 1, "a microvm without ioeventfd submits by its vCPU's thread")
        # Writes, and reads of what was written, go to the overlay's file, which another thread completes.
        self.assertGreaterEqual(completed.count(asked[0]), 0.95 * known["reads"])

    def test_a_read_that_fails_at_once_is_told_by_the_main_loop(self):
        trace, _ = self.recorded()
        asked, completed = self.threads_of(
            trace, {"driver": "blkdebug", "image": {"driver": "null-co", "read-zeroes": True, "size": 4 << 30},
                    "inject-error": [{"event": "none", "iotype": "read", "errno": 5}]}, "REPLAY-FAILED the disk failed a request")
        self.assertEqual((len(asked), len(completed)), (1, 1))
        self.assertNotEqual(asked, completed)


class Fidelity(ReplayCase):
    def boot(self, replayed, cache, trace):
        url, read_bytes = self.serve(image("tiny"))
        # The clusters that a launch compares with the base are others each time, and so is what it reads to find them.
        options = ["--cache", cache, "--verify-cache", "none", "--accel", "tcg"]
        if replayed:
            self.replay(trace, url, *options, arguments="think=1")
        else:
            self.run_command(self.vmilaunch("--image", url, "--vms", 1, *options, "--output", self.folder / "run.h5"))
        vms = self.read_record(self.folder / "run.h5")[0]["vms"]
        return read_bytes(), (vms.t_ready - vms.t_running)[0]

    def test_a_replayed_boot_reads_from_the_base_what_a_real_one_reads(self):
        trace, known = self.recorded()
        for cache in ("none", self.cache_of("tiny")):
            (real, real_time), (replayed, replay_time) = (self.boot(kind, cache, trace) for kind in (False, True))
            name = "without a cache" if cache == "none" else "with its cache"
            # Times are only printed: real ones vary by more than 10 % on a machine that does other work.
            print(f"{name}: real {real / 2**20:.2f} MiB in {real_time:.2f} s, replayed {replayed / 2**20:.2f} MiB in {replay_time:.2f} s; "
                  f"recorded pauses {known['think_s']:.2f} s")
            self.assertAlmostEqual(replayed, real, delta=0.02 * real)


if __name__ == "__main__":
    unittest.main(verbosity=2)
