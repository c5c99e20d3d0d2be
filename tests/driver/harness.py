# SPDX-License-Identifier: Apache-2.0
"""What the driver's tests share: a base, a cache and an overlay, and the proof that every cache is right at the end."""
import functools
import os
import pathlib
import random
import shutil
import tempfile
import threading
import unittest

from tools import BUILT, STOCK, Program, Server, run

KiB = 1024
MiB = 1024 * KiB
TEST_DEADLINE = 240  # seconds


@functools.lru_cache(maxsize=4)
def noise(size, seed=1):
    """Bytes without a zero sector in them."""
    return random.Random(seed).randbytes(size)


class Base:
    """A raw file of noise with holes, and what it reads as: a reference that no driver had a hand in."""

    def __init__(self, path, size, holes=(), seed=1):
        content = bytearray(noise(size, seed))
        with path.open("wb") as file:
            file.truncate(size)
            position = 0
            for start, end in [*holes, (size, size)]:
                file.seek(position)
                file.write(content[position:start])
                content[start:end] = bytes(end - start)
                position = end
        self.path = path
        self.size = size
        self.content = bytes(content)

    def node(self):
        return {"driver": "raw", "file": {"driver": "file", "filename": str(self.path)}}


class DriverCase(unittest.TestCase):
    """Each test has a folder of its own. At its end all programs end well, and every cache checks clean and equals its base."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vmi-driver-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.programs, self.servers, self.caches = [], [], {}
        self.addCleanup(self.end_all)
        # A read that hangs ends with its server, and fails.
        watchdog = threading.Timer(TEST_DEADLINE, self.end_all)
        watchdog.daemon = True
        watchdog.start()
        self.addCleanup(watchdog.cancel)

    def end_all(self):
        for program in self.programs:
            if program.process.poll() is None:
                program.process.kill()
                program.process.wait()
            program.qmp.close()
        for server in self.servers:
            server.end()

    def tearDown(self):
        for program in self.programs:
            if program.process.poll() is None:
                program.quit()
            self.assertNotRegex(program.errors, "Sanitizer|runtime error")
        for cache, base in self.caches.items():
            self.assert_right(cache, base)

    def assert_right(self, cache, base):
        """By the stock tools: the cache has no error and no leak, and holds nothing that differs from the base."""
        run(STOCK / "qemu-img", "check", cache)
        self.assert_equal_images(cache, base)

    def assert_equal_images(self, cache, base):
        run(STOCK / "qemu-img", "compare", "-f", "qcow2", "-F", "raw", cache, base)

    def base(self, size=4 * MiB, holes=(), name="base.raw", seed=1):
        return Base(self.folder / name, size, holes, seed)

    def serve(self, path, *filters, **parameters):
        server = Server(self.folder, path, *filters, **parameters)
        self.servers.append(server)
        return server

    def cache(self, base, cluster=4 * KiB, name="cache.qcow2", folder=None, size=None, **options):
        """An empty cache of the base, made by the stock qemu-img."""
        path = (folder or self.folder) / name
        words = ",".join(f"{key}={value}" for key, value in {"cluster_size": cluster, **options}.items())
        run(STOCK / "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base.path, "-o", words, path, *([str(size)] if size else []))
        self.caches[path] = base.path
        return path

    def overlay(self, cache, name="overlay.qcow2"):
        path = self.folder / name
        run(STOCK / "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", cache, "-o", "cluster_size=64k,extended_l2=on", path)
        return path

    def nodes(self, base, cache, *, cache_file=None, cache_options=None, overlay=None, prefix="", read_only=None, **options):
        """base, cache, filter and, if asked, overlay as blockdev-add wants them. base: a Base or a node; cache_file: the node below
        the cache's qcow2, in place of its file; cache_options: more for the qcow2; options: the filter's."""
        if isinstance(base, Base):
            base = base.node()
        if read_only is None:
            read_only = not options.get("fill", False)
        file = cache_file or {"driver": "file", "filename": str(cache)}
        nodes = [{**base, "node-name": f"{prefix}base", "read-only": True},
                 {"driver": "qcow2", "node-name": f"{prefix}cache", "file": {**file, "node-name": f"{prefix}cache-file"},
                  "backing": f"{prefix}base", "read-only": read_only, **(cache_options or {})},
                 {"driver": "vmicache", "node-name": f"{prefix}filter", "file": f"{prefix}cache",
                  **{key.replace("_", "-"): value for key, value in options.items()}}]
        if overlay:
            nodes.append({"driver": "qcow2", "node-name": f"{prefix}overlay", "file": {"driver": "file", "filename": str(overlay)},
                          "backing": f"{prefix}filter"})
        return nodes

    def start(self, nodes, **options):
        program = Program(self.folder, **options)
        self.programs.append(program)
        for node in nodes:
            program.qmp.command("blockdev-add", node)
        return program

    def filling(self, base, cache, quota=64 * MiB, **options):
        """The storage daemon with a filter that fills."""
        return self.start(self.nodes(base, cache, fill=True, quota=quota, **options))

    def assert_reads(self, client, content, offset, size):
        # Not assertEqual, which would print both.
        if client.pread(size, offset) != content[offset:offset + size]:
            self.fail(f"{size} bytes at {offset} are not what they should be")

    def read_all(self, client, content, step=MiB):
        for offset in range(0, len(content), step):
            self.assert_reads(client, content, offset, min(step, len(content) - offset))

    def assert_counters(self, stats, **expected):
        """These counters exactly; underlines stand for dashes."""
        self.assertEqual({name: stats[name.replace("_", "-")] for name in expected}, expected)

    def assert_adds_up(self, stats, bytes_read):
        self.assertEqual(stats["bytes-hit"] + stats["bytes-miss"] + stats["bytes-zero"], bytes_read)


def qemu_io(*commands, node):
    """The output of the built qemu-io on the image options `node`."""
    words = [word for command in commands for word in ("-c", command)]
    return run(BUILT / "qemu-io", *words, node, expect=None)


def is_root():
    return os.geteuid() == 0
