# SPDX-License-Identifier: Apache-2.0
"""QEMU's tools with the driver, stock tools as the reference, and NBD servers that log what they are asked."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import nbd

VARIANT = os.environ.get("VMI_TEST_VARIANT", "")
DEADLINE = 120  # seconds, for any one step


def _prefix():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    sanitized = VARIANT == "sanitize"
    path = pathlib.Path(os.environ.get("VMI_TEST_QEMU_SANITIZE" if sanitized else "VMI_TEST_QEMU",
                                       cache / "vmilaunch-build/qemu" / ("current-sanitize" if sanitized else "current")))
    if not path.exists():
        raise SystemExit(f"{path} is missing: run qemu-driver/build{' --sanitize' if sanitized else ''}")
    return path / "bin"


BUILT = _prefix()
STOCK = pathlib.Path("/usr/bin")  # never saw the driver
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:detect_stack_use_after_return=0",
                   UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")


def wait_until(condition, what, seconds=DEADLINE):
    end = time.monotonic() + seconds
    while True:
        late = time.monotonic() >= end
        if result := condition():
            return result
        if late:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.005)


def run(*argv, expect=0, stdin=None):
    """Runs the command; its output, both streams."""
    done = subprocess.run([str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, input=stdin,
                          timeout=DEADLINE, env=ENVIRONMENT)
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"{' '.join(map(str, argv))} ended with {done.returncode}, not {expect}:\n{done.stdout}")
    return done.stdout


def allocated(cache):
    """(offset, bytes, is_zero) of every run that the qcow2 file itself holds, by the stock tools."""
    runs = []
    for item in json.loads(run(STOCK / "qemu-img", "map", "--output=json", "-U", cache)):
        if item["depth"] != 0 or not item["present"]:
            continue
        if runs and runs[-1][0] + runs[-1][1] == item["start"] and runs[-1][2] == item["zero"]:
            runs[-1] = (runs[-1][0], runs[-1][1] + item["length"], item["zero"])
        else:
            runs.append((item["start"], item["length"], item["zero"]))
    return runs


def held(cache):
    """(offset, bytes) of every run of data that the cache holds."""
    return [(start, length) for start, length, zero in allocated(cache) if not zero]


def held_bytes(cache):
    return sum(length for _, length in held(cache))


class Qmp:
    def __init__(self, connection, program):
        self.program = program
        self.socket = connection
        self.socket.settimeout(DEADLINE)
        self.lines = self.socket.makefile("rw")
        self.lines.readline()
        self.command("qmp_capabilities")

    def try_command(self, name, arguments=None):
        """The reply: a dict with 'return' or 'error'."""
        try:
            self.lines.write(json.dumps({"execute": name, "arguments": arguments or {}}) + "\n")
            self.lines.flush()
            while True:
                reply = json.loads(self.lines.readline())
                if "return" in reply or "error" in reply:  # and no event, nor a second greeting
                    return reply
        except (OSError, ValueError):
            status = self.program.process.wait(DEADLINE)
            raise AssertionError(f"ended with {status} at {name}:\n{self.program.errors}") from None

    def command(self, name, arguments=None):
        reply = self.try_command(name, arguments)
        if "error" in reply:
            raise AssertionError(f"{name} {arguments}: {reply['error']['desc']}")
        return reply["return"]

    def error(self, name, arguments=None):
        """The message of a command that must fail."""
        reply = self.try_command(name, arguments)
        if "return" in reply:
            raise AssertionError(f"{name} {arguments} worked: {reply['return']}")
        return reply["error"]["desc"]

    def close(self):
        self.lines.close()
        self.socket.close()


class Program:
    """A QEMU program with a monitor and block nodes; the storage daemon, or a system emulator without a machine to run."""

    def __init__(self, folder, program="qemu-storage-daemon", iothreads=()):
        self.number = Program.started = getattr(Program, "started", 0) + 1
        self.folder = folder
        self.nbd_socket = folder / f"nbd-{self.number}"
        monitor = f"qmp-{self.number}"
        argv = [BUILT / program]
        for name in iothreads:
            argv += ["--object", f"iothread,id={name}"]
        if program == "qemu-storage-daemon":
            argv += ["--chardev", f"socket,id=monitor,path={monitor}", "--monitor", "chardev=monitor",
                     "--nbd-server", f"addr.type=unix,addr.path={self.nbd_socket},max-connections=0"]
        else:
            argv += ["-M", "none", "-nodefaults", "-no-user-config", "-display", "none", "-qmp", f"unix:{monitor}"]
        self.error_file = folder / f"stderr-{self.number}"
        self.clients = []
        # QEMU 7.2 hands a monitor over to a thread of its own after its main loop has begun. Of one that listens, both may then read
        # what the first client says, each a part of it; so it connects to us.
        with socket.socket(socket.AF_UNIX) as listener, self.error_file.open("wb") as errors:
            listener.bind(str(folder / monitor))
            listener.listen()
            listener.setblocking(False)
            self.process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                            cwd=folder, env=ENVIRONMENT)
            try:
                self.qmp = Qmp(wait_until(lambda: self._accepted(listener), f"{program} to connect to {monitor}"), self)
            except BaseException:
                self.process.kill()
                self.process.wait(DEADLINE)
                raise

    def _accepted(self, listener):
        try:
            return listener.accept()[0]
        except BlockingIOError:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.errors}") from None
            return None

    @property
    def errors(self):
        return self.error_file.read_text(errors="replace")

    def client(self, node="filter", structured=False, **export):
        """An NBD client of the node, which is exported when it first is asked for. A structured one can ask for the block status;
        for it QEMU's server reads no zeroes from the node."""
        if not any(item["id"] == node for item in self.qmp.command("query-block-exports")):
            self.qmp.command("block-export-add", dict(export, type="nbd", id=node, **{"node-name": node}))
        client = nbd.NBD()
        client.set_export_name(node)
        client.set_request_structured_replies(structured)
        if structured:
            client.add_meta_context("base:allocation")
        client.connect_unix(str(self.nbd_socket))
        self.clients.append(client)
        return client

    def stats(self, node="filter"):
        """The driver's counters."""
        for item in self.qmp.command("query-blockstats", {"query-nodes": True}):
            if item.get("node-name") == node:
                return item["driver-specific"]
        raise AssertionError(f"no node {node}")

    def settled(self, node="filter"):
        """The counters, once nothing is on its way to the cache."""
        def quiet():
            stats = self.stats(node)
            return stats if stats["bytes-queued"] == 0 else None
        return wait_until(quiet, "the queue to be written")

    def quit(self):
        """A normal end; whatever it printed by then is in errors."""
        self.clients.clear()
        if self.process.poll() is None:
            self.qmp.try_command("quit")
        self.qmp.close()
        status = self.process.wait(DEADLINE)
        if status:
            raise AssertionError(f"ended with {status}:\n{self.errors}")

    def kill(self):
        self.clients.clear()
        self.qmp.close()
        self.process.kill()
        self.process.wait(DEADLINE)


class Server:
    """An nbdkit of one file with filters, on a Unix socket, logging what it is asked below them."""

    def __init__(self, folder, path, *filters, **parameters):
        self.number = Server.started = getattr(Server, "started", 0) + 1
        self.socket = folder / f"nbdkit-{self.number}"
        self.log = folder / f"nbdkit-{self.number}.log"
        argv = ["nbdkit", "--exit-with-parent", "-f", "-U", self.socket]
        for name in (*filters, "log"):
            argv += ["--filter", name]
        argv += ["file", path, f"logfile={self.log}"] + [f"{key.replace('_', '-')}={value}" for key, value in parameters.items()]
        self.process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL)
        wait_until(lambda: self.socket.exists() or self.process.poll() is not None, "nbdkit")
        if self.process.poll() is not None:
            raise AssertionError("nbdkit did not start")

    def node(self, **more):
        return {"driver": "nbd", "server": {"type": "unix", "path": str(self.socket)}, **more}

    def requests(self, action="Read"):
        """(offset, bytes) of every request of this kind up to now."""
        return [(int(offset, 16), int(count, 16)) for offset, count in
                re.findall(rf" {action} id=\d+ offset=(0x[0-9a-f]+) count=(0x[0-9a-f]+)", self.log.read_text())]

    def bytes_served(self):
        return sum(count for _, count in self.requests())

    def freeze(self):
        """Stops it: when this returns, it answers nothing any more."""
        os.kill(self.process.pid, signal.SIGSTOP)
        threads = pathlib.Path(f"/proc/{self.process.pid}/task")
        wait_until(lambda: all((thread / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T" for thread in threads.iterdir()),
                   "nbdkit to stop")

    def thaw(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
