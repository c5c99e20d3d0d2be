#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The table of refcounts of a qcow2 image: read when somebody asks for a refcount, or is about to write."""
import json
import re
import struct
import unittest

from harness import DriverCase, KiB, MiB
from tools import BUILT, STOCK, run, wait_until

CLUSTER = 64 * KiB


def reported(tools, command, image, expect=0):
    """What qemu-img says in JSON, after whatever else it says."""
    text = run(tools / "qemu-img", command, "--output=json", image, expect=expect)
    return json.loads(text[re.search(r"^[\[{]", text, re.M).start():])


class Refcounts(DriverCase):
    def setUp(self):
        super().setUp()
        self.raw = self.base(8 * MiB, holes=[(MiB, 2 * MiB)])
        self.image = self.folder / "image.qcow2"
        run(STOCK / "qemu-img", "convert", "-f", "raw", "-O", "qcow2", self.raw.path, self.image)

    def table(self):
        """(offset, bytes) of the image's table of refcounts."""
        header = self.image.read_bytes()[:104]
        offset, clusters = struct.unpack(">QI", header[48:60])
        return offset, clusters * CLUSTER

    def node(self, file=None, **options):
        return {"driver": "qcow2", "node-name": "image", "file": {**(file or {"driver": "file", "filename": str(self.image)}), "node-name": "file"},
                **options}

    def asked_for_table(self, server):
        begin, size = self.table()
        return any(offset < begin + size and begin < offset + count for offset, count in server.requests())

    def reopen(self, program, read_only):
        file = {"driver": "file", "filename": str(self.image), "node-name": "file", "read-only": read_only}
        return program.qmp.try_command("blockdev-reopen", {"options": [self.node(file, **{"read-only": read_only})]})

    def assert_clean(self):
        run(STOCK / "qemu-img", "check", self.image)

    def test_who_only_reads_does_not_read_it(self):
        server = self.serve(self.image)
        program = self.start([self.node(server.node(), **{"read-only": True})])
        self.assertFalse(self.asked_for_table(server))
        self.assertLess(server.bytes_served(), 8 * KiB)
        self.read_all(program.client("image"), self.raw.content)
        self.assertFalse(self.asked_for_table(server))

    def test_who_may_write_reads_it_at_once(self):
        server = self.serve(self.image)
        self.start([self.node(server.node(), **{"read-only": False})])
        self.assertTrue(self.asked_for_table(server))

    def test_the_block_status_is_as_ever(self):
        for options in ("preallocation=off", "preallocation=metadata"):
            with self.subTest(options):
                image = self.folder / f"{options}.qcow2"
                run(STOCK / "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", options, self.raw.path, image)
                self.assertEqual(*(reported(tools, "map", image) for tools in (BUILT, STOCK)))

    def test_an_image_that_becomes_writable_is_written_and_stays_right(self):
        program = self.start([self.node(**{"read-only": True})])
        content = bytearray(self.raw.content)
        for round_number in range(2):
            self.assertNotIn("error", self.reopen(program, read_only=False))
            client = program.client("image", writable=True)
            for offset in (0, MiB + 5 * CLUSTER, 3 * MiB - 512):  # one of them in the hole
                written = bytes([round_number + 1]) * CLUSTER
                client.pwrite(written, offset)
                content[offset:offset + CLUSTER] = written
            self.read_all(client, bytes(content))
            client.shutdown()
            program.qmp.command("block-export-del", {"id": "image", "mode": "hard"})
            wait_until(lambda: not program.qmp.command("query-block-exports"), "the export to end")
            self.assertNotIn("error", self.reopen(program, read_only=True))
        program.quit()
        self.assert_clean()
        expected = self.folder / "expected.raw"
        expected.write_bytes(content)
        self.assert_equal_images(self.image, expected)

    def test_a_table_that_cannot_be_read_fails_who_writes_and_not_who_reads(self):
        file = {"driver": "blkdebug", "image": {"driver": "file", "filename": str(self.image), "node-name": "below"},
                "inject-error": [{"event": "reftable_load", "errno": 5, "once": True}]}
        program = self.start([self.node(file, **{"read-only": True})])
        client = program.client("image")
        self.read_all(client, self.raw.content)
        message = program.qmp.error("blockdev-reopen", {"options": [self.node(file, **{"read-only": False})]})
        self.assertIn("Could not read the refcount table: Input/output error", message)
        self.read_all(client, self.raw.content)
        program.quit()
        program = self.start([])
        self.assertIn("Could not initialize refcount handling", program.qmp.error("blockdev-add", self.node(file, **{"read-only": False})))

    def test_commit_writes_into_an_image_that_was_only_read(self):
        overlay = self.folder / "overlay.qcow2"
        run(BUILT / "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", self.image, overlay)
        run(BUILT / "qemu-io", "-c", "write -P 7 1M 256k", "-c", "write -P 8 6M 1k", overlay)
        run(BUILT / "qemu-img", "commit", "-q", overlay)
        self.assert_clean()
        run(STOCK / "qemu-io", "-r", "-c", "read -P 7 1M 256k", "-c", "read -P 8 6M 1k", self.image)
        run(STOCK / "qemu-img", "compare", self.image, overlay)

    def test_check_finds_what_it_found(self):
        offset, _ = self.table()
        with self.image.open("r+b") as file:
            file.seek(offset)
            block = struct.unpack(">Q", file.read(8))[0]
            file.seek(block + 2 * 20)  # 16 bits each
            file.write(bytes(2))
        found = [reported(tools, "check", self.image, expect=2) for tools in (BUILT, STOCK)]
        self.assertEqual(found[0]["corruptions"], 2)
        self.assertEqual(*found)


if __name__ == "__main__":
    unittest.main()
