#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The filter's options, what it says of wrong ones, and its duties as a node among others."""
import json
import unittest

from harness import DriverCase, KiB, MiB, qemu_io
from tools import BUILT, STOCK, run, wait_until


class Options(DriverCase):
    def setUp(self):
        super().setUp()
        self.image = self.base(MiB)
        self.file = self.cache(self.image)

    def refusal(self, cache=None, below=None, **options):
        """What blockdev-add says of a filter with these options."""
        nodes = self.nodes(self.image, cache or self.file, read_only=False, **options)
        program = self.start(nodes[:-1] if below is None else below)
        message = program.qmp.error("blockdev-add", nodes[-1])
        program.quit()
        return message

    def test_the_schema_describes_the_driver(self):
        program = self.start([])
        types = {item["name"]: item for item in program.qmp.command("query-qmp-schema")}
        drivers = [item for item in types.values() if item["meta-type"] == "object" and
                   any(variant["case"] == "vmicache" for variant in item.get("variants", []))]
        members = [{member["name"] for member in types[variant["type"]]["members"]}
                   for item in drivers for variant in item["variants"] if variant["case"] == "vmicache"]
        self.assertIn({"file", "fill", "quota", "granularity", "queue-size", "drain-timeout", "trace"}, members)

    def test_filling_needs_a_quota(self):
        message = "Parameter 'quota' is required, and greater than 0, with fill=on"
        self.assertEqual(self.refusal(fill=True), message)
        self.assertEqual(self.refusal(fill=True, quota=0), message)

    def test_granularity_is_a_power_of_two_within_bounds(self):
        for value in (0, 256, 1000, 4 * MiB):
            self.assertEqual(self.refusal(fill=True, quota=MiB, granularity=value),
                             "Parameter 'granularity' expects a power of two between 512 and 2M")

    def test_values_of_the_wrong_type_and_options_that_do_not_exist(self):
        self.assertIn("quota", self.refusal(fill=True, quota="much"))
        self.assertIn("fill", self.refusal(fill="perhaps", quota=MiB))
        self.assertIn("'colour' is unexpected", self.refusal(colour="red"))
        self.assertIn("drain-timeout", self.refusal(fill=True, quota=MiB, drain_timeout=-1))

    def test_a_filter_needs_a_file(self):
        program = self.start([])
        self.assertIn("'file' is missing", program.qmp.error("blockdev-add", {"driver": "vmicache", "node-name": "filter"}))
        self.assertIn("nowhere", program.qmp.error("blockdev-add", {"driver": "vmicache", "node-name": "filter", "file": "nowhere"}))

    def test_filling_needs_a_qcow2_cache_with_a_backing_file(self):
        raw = [{"driver": "file", "node-name": "cache", "filename": str(self.file)}]
        self.assertEqual(self.refusal(below=raw, fill=True, quota=MiB), "fill=on needs a qcow2 cache, and node 'cache' is 'file'")
        alone = [{"driver": "qcow2", "node-name": "cache", "file": {"driver": "file", "filename": str(self.file)}, "backing": None}]
        self.assertEqual(self.refusal(below=alone, fill=True, quota=MiB),
                         "fill=on needs a cache with a backing file, and node 'cache' has none")

    def test_filling_refuses_a_cache_whose_data_is_elsewhere(self):
        cache = self.cache(self.image, name="metadata.qcow2", data_file=self.folder / "data.raw")
        self.assertRegex(self.refusal(cache, fill=True, quota=MiB), "cannot hold a cache with an external data file to its quota")

    def test_a_trace_that_cannot_be_made(self):
        self.assertRegex(self.refusal(trace=str(self.folder / "nowhere" / "trace")), "Could not create '.*nowhere/trace': No such file or directory")
        self.assertRegex(self.refusal(trace="/dev/full"), "Could not write trace '/dev/full': No space left on device")

    def test_a_refused_filter_leaves_the_cache_free_for_others(self):
        nodes = self.nodes(self.image, self.file, fill=True, quota=MiB, trace="/dev/full")
        program = self.start(nodes[:-1])
        program.qmp.error("blockdev-add", nodes[-1])
        program.qmp.command("blockdev-add", {**nodes[-1], "trace": str(self.folder / "trace")})
        program.qmp.command("blockdev-del", {"node-name": "filter"})
        program.qmp.command("blockdev-del", {"node-name": "cache"})
        program.qmp.command("blockdev-add", nodes[1])

    def test_command_line_options_take_size_suffixes(self):
        node = (f"driver=vmicache,fill=on,quota=8M,granularity=8k,queue-size=1M,drain-timeout=5000,file.driver=qcow2,"
                f"file.file.filename={self.file}")
        # Not assertIn: qemu-io says it on success only.
        self.assertRegex(run(BUILT / "qemu-io", "-r", "--image-opts", node, "-c", "read 0 1M"), "read 1048576/1048576 bytes at offset 0")
        json.loads(run(STOCK / "qemu-img", "map", "--output=json", self.file))


class Duties(DriverCase):
    """What QEMU asks of a filter."""

    def setUp(self):
        super().setUp()
        self.image = self.base(4 * MiB, holes=[(MiB, 2 * MiB)])
        self.file = self.cache(self.image)

    def test_writes_discards_and_zero_writes_are_refused(self):
        program = self.filling(self.image, self.file)
        message = "Node 'filter' is a vmicache filter, which is not written to: write to an overlay above it"
        self.assertEqual(program.qmp.error("block-export-add", {"type": "nbd", "id": "w", "node-name": "filter", "writable": True}), message)
        node = json.dumps({**self.nodes(self.image, self.file, fill=True, quota=MiB)[-1], "file": {
            "driver": "qcow2", "file": {"driver": "file", "filename": str(self.file)}}})
        program.quit()
        for command in ("write 0 4k", "discard 0 4k", "write -z 0 4k"):
            self.assertIn("which is not written to", qemu_io(command, node="json:" + node))

    def test_resizing_is_refused(self):
        program = self.filling(self.image, self.file)
        self.assertIn("is not written to", program.qmp.error("block_resize", {"node-name": "filter", "size": 8 * MiB}))
        # Nor below it, while it knows the disk's length.
        self.assertIn("filter", program.qmp.error("block_resize", {"node-name": "cache", "size": 8 * MiB}))

    def test_nobody_else_writes_to_the_cache(self):
        program = self.filling(self.image, self.file)
        self.assertIn("filter", program.qmp.error("block-export-add", {"type": "nbd", "id": "w", "node-name": "cache", "writable": True}))
        self.assertIn("lock", run(STOCK / "qemu-io", "-c", "write 0 4k", self.file, expect=1))
        program.client().pread(4096, 0)

    def test_the_base_cannot_be_taken_away(self):
        program = self.filling(self.image, self.file)
        self.assertIn("frozen", program.qmp.error("blockdev-reopen", {"options": [
            {**self.nodes(self.image, self.file)[1], "file": "cache-file", "backing": None, "read-only": False}]}))

    def test_the_base_is_free_again_once_the_filter_is_gone(self):
        program = self.filling(self.image, self.file)
        client = program.client()
        self.assert_reads(client, self.image.content, 0, 64 * KiB)
        program.clients.remove(client)
        del client
        program.qmp.command("block-export-del", {"id": "filter", "mode": "hard"})
        wait_until(lambda: not program.qmp.command("query-block-exports"), "the export's end")
        program.qmp.command("blockdev-del", {"node-name": "filter"})
        program.qmp.command("blockdev-reopen", {"options": [
            {"driver": "qcow2", "node-name": "cache", "file": "cache-file", "backing": None, "read-only": False}]})

    def test_reopening_with_the_same_options_in_mid_fill(self):
        nodes = self.nodes(self.image, self.file, fill=True, quota=64 * MiB, trace=str(self.folder / "trace"))
        program = self.start(nodes)
        client = program.client()
        for offset in range(0, self.image.size, 64 * KiB):
            self.assert_reads(client, self.image.content, offset, 64 * KiB)
            program.qmp.command("blockdev-reopen", {"options": [nodes[-1]]})
        self.assert_counters(program.settled(), bytes_miss=3 * MiB, bytes_filled=3 * MiB, bytes_zero=MiB, fill_state="filling")

    def test_reopening_with_other_options_is_refused(self):
        nodes = self.nodes(self.image, self.file, fill=True, quota=64 * MiB)
        program = self.start(nodes)
        for other in ({"fill": False}, {"quota": MiB}, {"granularity": 64 * KiB}):
            self.assertRegex(program.qmp.error("blockdev-reopen", {"options": [{**nodes[-1], **other}]}), "Cannot change the option '(fill|quota|granularity)'")
        self.assert_reads(program.client(), self.image.content, 0, 4096)
        self.assert_counters(program.settled(), bytes_filled=4096)

    def test_block_status_is_what_the_layers_below_say(self):
        program = self.filling(self.image, self.file)
        client = program.client(structured=True)

        def status():
            extents = []
            client.block_status(self.image.size, 0, lambda context, offset, entries, error: extents.extend(entries) or 0)
            merged = []
            for size, flags in zip(extents[::2], extents[1::2]):
                if merged and merged[-1][1] == flags:
                    merged[-1][0] += size
                else:
                    merged.append([size, flags])
            return merged
        hole_and_zero = 3
        expected = [[MiB, 0], [MiB, hole_and_zero], [2 * MiB, 0]]
        self.assertEqual(status(), expected)
        self.assert_reads(client, self.image.content, MiB - 6000, 12000)
        program.settled()
        self.assertEqual(status(), expected)

    def test_the_node_is_listed_as_what_it_is(self):
        program = self.filling(self.image, self.file, overlay=self.overlay(self.file))
        info = {item["node-name"]: item for item in program.qmp.command("query-named-block-nodes", {"flat": True}) if "node-name" in item}
        self.assertEqual(info["filter"]["drv"], "vmicache")
        self.assertEqual(info["filter"]["image"]["virtual-size"], self.image.size)
        self.assertEqual(info["overlay"]["image"]["virtual-size"], self.image.size)

    def test_an_image_made_from_the_filter_equals_the_base(self):
        node = json.dumps({"driver": "vmicache", "fill": True, "quota": 64 * MiB, "file": {
            "driver": "qcow2", "file": {"driver": "file", "filename": str(self.file)}}})
        copy = self.folder / "copy.raw"
        run(BUILT / "qemu-img", "convert", "-O", "raw", "json:" + node, copy)
        self.assertEqual(copy.read_bytes(), self.image.content)


class Migration(DriverCase):
    """Needs the system emulator."""

    def test_a_filling_cache_blocks_migration_and_another_does_not(self):
        base = self.base(MiB)
        cache = self.cache(base)
        for fill in (True, False):
            nodes = self.nodes(base, cache, fill=fill, quota=MiB)
            program = self.start(nodes, program="qemu-system-x86_64")
            reply = program.qmp.try_command("migrate", {"uri": f"unix:{self.folder / 'nobody'}"})
            if fill:
                self.assertIn("does not support live migration while it fills its cache", reply["error"]["desc"])
                program.qmp.command("blockdev-del", {"node-name": "filter"})
                reply = program.qmp.try_command("migrate", {"uri": f"unix:{self.folder / 'nobody'}"})
            self.assertNotIn("vmicache", json.dumps(reply))
            program.quit()


if __name__ == "__main__":
    unittest.main()
