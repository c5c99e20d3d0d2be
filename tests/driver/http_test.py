#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Base images over HTTP, which QEMU reads by a module that it loads for them alone."""
import http.server
import pathlib
import re
import shutil
import threading
import unittest

from harness import DriverCase, MiB
from tools import BUILT, run


class Ranges(http.server.BaseHTTPRequestHandler):
    """Serves self.server.content at every path, whole or a range of it, as QEMU wants it."""
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(200, self.server.content)

    def do_GET(self):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        content = self.server.content
        if wanted:
            self._answer(206, content[int(wanted[1]):int(wanted[2]) + 1])
        else:
            self._answer(200, content)

    def _answer(self, status, content):
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


class Http(DriverCase):
    def serve(self, content):
        """The URL of an image with this content, on the loopback."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ranges)
        server.content, server.daemon_threads = content, True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_address[1]}/image"

    def node(self, url):
        return {"driver": "http", "node-name": "remote", "url": url, "read-only": True}

    def libraries(self, program):
        return {pathlib.Path(line.split()[-1]).name.split(".so")[0]
                for line in pathlib.Path(f"/proc/{program.process.pid}/maps").read_text().splitlines() if ".so" in line}

    def test_an_image_is_read_over_http_from_wherever_qemu_was_installed(self):
        image = self.base(2 * MiB)
        moved = self.folder / "moved"
        shutil.copytree(BUILT.parent, moved)
        copy = self.folder / "copy.raw"
        run(moved / "bin/qemu-img", "convert", "-f", "raw", "-O", "raw", self.serve(image.content), copy)
        self.assertEqual(copy.read_bytes(), image.content)

    def test_only_an_image_over_http_has_its_library_loaded(self):
        image = self.base(MiB)
        program = self.start([], program="qemu-system-x86_64")
        self.assertNotIn("libcurl", self.libraries(program))
        program.qmp.command("blockdev-add", self.node(self.serve(image.content)))
        self.assertIn("libcurl", self.libraries(program))


unittest.main()
