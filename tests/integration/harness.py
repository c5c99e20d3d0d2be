# SPDX-License-Identifier: Apache-2.0
"""What the integration tests share: real programs, real images, and the proof that nothing was left behind."""
import fcntl
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(os.environ.get("VMI_TEST_BIN", HERE.parent.parent / "build/release/bin"))
IMAGES = pathlib.Path(os.environ.get(
    "VMI_TEST_IMAGES",
    pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "vmilaunch-build/images"))
DEADLINE = 600  # seconds, for any one command


def image(name):
    path = IMAGES / f"{name}.qcow2"
    if not path.exists():
        raise AssertionError(f"{path} is missing: run scripts/images {name}")
    return path


def driver_qemu():
    """The cache-enabled QEMU."""
    path = pathlib.Path(os.environ.get("VMI_TEST_QEMU", IMAGES.parent / "qemu/current")) / "bin/qemu-system-x86_64"
    if not path.exists():
        raise AssertionError(f"{path} is missing: run qemu-driver/build")
    return path


def environment(**more):
    env = dict(os.environ, OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_mpi_yield_when_idle="1", **more)
    if os.geteuid() == 0:
        env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    return env


def processes_with(text):
    """Command lines of living processes that mention `text`, by pid."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if text in command and state != "Z":
            found[int(entry.name)] = command
    return found


def files_below(folder):
    """All but folders, also while others remove some."""
    return [pathlib.Path(place) / name for place, _, names in os.walk(folder) for name in names]


def wait_until(condition, seconds, what):
    """The condition's first true result. `what` is waited for, in words, or a function that gives them: of the failure, not of before."""
    end = time.monotonic() + seconds
    while True:
        late = time.monotonic() >= end
        if result := condition():
            return result
        if late:
            raise AssertionError(f"waited {seconds} s for {what() if callable(what) else what}")
        time.sleep(0.05)


class Running:
    """A command in its own process group whose output goes to a file, so that a test can wait for its lines."""

    def __init__(self, case, argv, env):
        self.log = case.folder / f"out-{len(case.running)}.txt"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, env=env, start_new_session=True, cwd=case.folder)
        case.running.append(self)

    @property
    def output(self):
        return self.log.read_text(errors="replace")

    def wait_for_line(self, pattern, seconds=DEADLINE):
        def seen():
            has_ended = self.process.poll() is not None  # asked first: what it then has not said it never will
            match = re.search(pattern, self.output)
            if not match and has_ended:
                raise AssertionError(f"ended with {self.process.returncode} before '{pattern}':\n{self.output}")
            return match
        return wait_until(seen, seconds, lambda: f"'{pattern}' in:\n{self.output}")

    def wait(self, seconds=DEADLINE):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {seconds} s:\n{self.output}") from None

    def rank(self, number):
        """The process of this MPI rank."""
        for pid in self.children_named("vmilaunch"):
            if f"\0OMPI_COMM_WORLD_RANK={number}\0".encode() in pathlib.Path(f"/proc/{pid}/environ").read_bytes():
                return pid
        raise AssertionError(f"no rank {number} in:\n{self.output}")

    def children_named(self, name):
        """Descendants of the command whose program is `name`."""
        parents = {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text()
                    parents[int(entry.name)] = (int(fields.rsplit(")", 1)[1].split()[1]), fields.split("(", 1)[1].rsplit(")", 1)[0])
                except OSError:
                    continue
        found, frontier = [], [self.process.pid]
        while frontier:
            parent = frontier.pop()
            for pid, (its_parent, program) in parents.items():
                if its_parent == parent:
                    frontier.append(pid)
                    if program == name:
                        found.append(pid)
        return found


class LaunchCase(unittest.TestCase):
    """Each test has a folder of its own; at its end nothing that mentions the folder may be alive or left in memory."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vmi-"))
        self.node_dir = pathlib.Path(tempfile.mkdtemp(prefix="vmi-node-", dir="/dev/shm"))
        self.running = []
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(shutil.rmtree, self.node_dir, ignore_errors=True)
        self.addCleanup(self.end_running)

    def end_running(self):
        for running in self.running:
            if running.process.poll() is None:
                os.killpg(running.process.pid, signal.SIGKILL)
                running.process.wait()

    def start(self, argv, **env):
        return Running(self, argv, environment(**env))

    def run_command(self, argv, expect=0, **env):
        running = self.start(argv, **env)
        status = running.wait()
        self.assertEqual(status, expect, f"{' '.join(map(str, argv))}\n{running.output}")
        return running.output

    def vmilaunch(self, *options, ranks=None):
        """The command of a launch whose files stay in this test's folders; with ranks, each is a node of its own."""
        command = [BIN / "vmilaunch", "--cache-dir", self.folder / "store", "--node-dir", self.node_dir, *options]
        if ranks is None:
            return command
        return ["mpirun", "-n", ranks, HERE / "as-node", *command]

    def serve(self, path):
        """nbdkit with its own count of what it served; returns the URL and a function that ends it and gives the count."""
        socket, stats = (self.folder / f"nbd-{len(self.running)}.{end}" for end in ("sock", "stats"))
        server = self.start(["nbdkit", "--foreground", "--readonly", "--unix", socket, "--filter=stats", "file", path, f"statsfile={stats}"])
        wait_until(socket.exists, 30, "nbdkit's socket")

        def served_bytes():
            server.process.terminate()
            server.wait(30)
            text = stats.read_text()
            match = re.search(r"^read: \d+ ops, [\d.]+ s, ([\d.]+) (bytes|KiB|MiB|GiB),", text, re.M)
            self.assertIsNotNone(match, text)
            return float(match.group(1)) * {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[match.group(2)]
        return f"nbd+unix:///?socket={socket}", served_bytes

    def cache_of(self, name):
        """A boot cache that is built once for all tests of one run of the suite, keyed by image and program."""
        base = image(name)
        folder = pathlib.Path(tempfile.gettempdir()) / f"vmi-test-caches-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        program = (BIN / "vmicache").stat()
        path = folder / f"{name}-{base.stat().st_mtime_ns}-{program.st_mtime_ns}-{program.st_size}.vmic"
        with (folder / f"{name}.lock").open("w") as lock:  # of two builds that differ the second would take the first's place
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                for old in folder.glob(f"{name}-*"):
                    old.unlink(missing_ok=True)
                temporary = self.folder / "new.vmic"
                self.run_command([BIN / "vmicache", "build", "--image", base, "--output", temporary, "--timeout", "500s"])
                shutil.move(temporary, path)
        return path

    def is_kept(self, path):
        """Whether this file stays on the node for later launches."""
        return path.parent == self.node_dir / "cache"

    def assert_nothing_left(self, seconds=10):
        """No process that works for this test, its servers aside, no overlay, runtime folder or part of a cache."""
        servers = {running.process.pid for running in self.running if running.process.poll() is None}

        def strays():
            return {pid: command for place in (self.folder, self.node_dir)
                    for pid, command in processes_with(str(place)).items() if pid not in servers}
        wait_until(lambda: not strays(), seconds, lambda: f"the end of {strays()}")

        def leftovers():
            return [path for path in files_below(self.node_dir) if not self.is_kept(path)]
        wait_until(lambda: not leftovers(), seconds, lambda: f"the removal of {leftovers()}")

    def assert_record_is_closed(self, path, seconds=10):
        """A launch that was killed has its record, by its supervisor's doing, and no journal."""
        journal = pathlib.Path(f"{path}.journal")
        wait_until(lambda: path.exists() and not journal.exists(), seconds,
                   lambda: f"{path.name} in {sorted(os.listdir(path.parent))}")
        self.assertEqual([left.name for left in path.parent.glob(f"{path.name}*")], [path.name])
        return self.read_record(path)

    def read_record(self, path):
        """Every table of a record as a DataFrame, and the root attributes."""
        import h5py
        import pandas
        with h5py.File(path) as file:
            tables = {name: pandas.DataFrame(file[name][:]) for name in file}
            for table in tables.values():
                for column in table.select_dtypes(object):
                    table[column] = table[column].str.decode("utf-8")
            return tables, dict(file.attrs)
