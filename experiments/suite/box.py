# SPDX-License-Identifier: Apache-2.0
"""What the experiments stand on: programs, the cluster in a box, and what the machine's processors did meanwhile."""
import concurrent.futures
import contextlib
import itertools
import json
import mmap
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("VMI_TEST_BIN", ROOT / "build/release/bin"))
CLUSTER = ROOT / "experiments/cluster"
VMIREPORT = BIN / "vmireport"


def qemu():
    """$VMI_QEMU, else the QEMU with the cache driver where qemu-driver/build made it, else the distribution's."""
    built = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "vmilaunch-build/qemu/current/bin/qemu-system-x86_64"
    return os.environ.get("VMI_QEMU") or (str(built) if built.exists() else "qemu-system-x86_64")


class ExperimentError(Exception):
    """Its message names the thing, the reason and the remedy."""


def check_machine():
    if os.geteuid() != 0:
        raise ExperimentError("network namespaces need root: run it with sudo")
    for program in ("vmilaunch", "vmicache", "vmireport", "replay-trace", "replay.elf", "distribution_bench"):
        if not (BIN / program).exists():
            raise ExperimentError(f"{BIN / program} is missing: cmake --preset release && cmake --build build/release")


def say(text):
    sys.stdout.write(f"experiments/run: {text}\n")  # in one piece: measurements may run beside each other
    sys.stdout.flush()


REPORTING = pathlib.Path("/sys/module/page_reporting/parameters/page_reporting_order")
AUTOGROUPS = pathlib.Path("/proc/sys/kernel/sched_autogroup_enabled")


@contextlib.contextmanager
def meanwhile(setting, value, wanted):
    """Meanwhile the file `setting` of this machine's holds `value`, if wanted(what it holds) and root may write it; afterwards what it held."""
    try:
        before = setting.read_text(encoding="ascii")
        ours = wanted(before.strip())
        if ours:
            setting.write_text(value, encoding="ascii")
    except OSError:  # this machine has no such setting, or it is not ours to change
        ours = False
    if not ours:
        yield
        return

    def terminated(number, _):
        setting.write_text(before, encoding="ascii")
        signal.signal(number, outer)
        signal.raise_signal(number)

    outer = signal.signal(signal.SIGTERM, terminated)
    try:
        yield
    finally:
        setting.write_text(before, encoding="ascii")
        signal.signal(signal.SIGTERM, outer)


def memory_kept(setting=REPORTING):
    """Meanwhile this machine gives no free memory back to its host, where it does that (free page reporting) and root may say so.

    Else what touch_memory() took is gone again seconds later, and the first launch in a cluster pays for it.
    """
    most = 11  # 2 ** 11 pages, which no block of free memory has
    return meanwhile(setting, str(most), lambda order: int(order) < most)


def nodes_alike(setting=AUTOGROUPS):
    """Meanwhile this machine's processors are shared between processes, not between sessions (the kernel's autogroups).

    Each node's daemon is a session; the first node's rank is of the session that everything was started from. Beside 63 others that wait
    for it in MPI_Init, looking again and again, it got 10 ms of a processor in 25 s, and the launch failed after two minutes.
    """
    return meanwhile(setting, "0", lambda enabled: enabled != "0")


def touch_memory(size):
    """Has this machine take `size` bytes of memory, and give them up again, for what is measured next.

    A virtual machine may have given its free memory back to its host; having it again costs up to 2.5 ns a byte of processor time, which
    64 nodes that share this machine would all pay at once, and which a cluster's nodes, whose memory is their own, do not.
    """
    size = min(size, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") * 3 // 4)
    if size > 0:
        mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def beside(most, tasks):
    """Calls the tasks, up to `most` at a time. After one that fails none is begun."""
    pool = concurrent.futures.ThreadPoolExecutor(most)
    try:
        for future in concurrent.futures.as_completed([pool.submit(task) for task in tasks]):
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def in_lanes(most, points, box, measure):
    """Calls measure(box, point) for every point, up to `most` at a time: each of so many clusters, which box() makes, takes the next point.

    To make a cluster of 64 nodes, and to end it, takes longer than many a measurement. After one that fails none is begun.
    """
    waiting = iter(list(points))  # of all lanes
    failed = threading.Event()

    def lane():
        with box() as own:
            for point in waiting:
                if failed.is_set():
                    return
                try:
                    measure(own, point)
                except BaseException:
                    failed.set()
                    raise

    if lanes := min(most, len(points)):
        beside(lanes, [lane] * lanes)


class Box:
    """A cluster of `nodes` with links of `rate` (as tc has it) whose storage node serves `images`; a context manager.

    `node_storage`: the folder below which the nodes keep what they have; without one in memory. `started_by`: what starts launches.
    """
    numbers = itertools.count()
    starting = threading.Lock()  # of launches beside others

    def __init__(self, nodes, rate, images=(), options=(), node_storage="/dev/shm", started_by="mpirun"):
        self.name = f"x{os.getpid()}n{next(self.numbers)}"
        self.nodes, self.rate, self.node_storage, self.started_by = nodes, rate, pathlib.Path(node_storage), started_by
        self.holding = 0  # so many nodes, the first ones, hold the boot cache, as who launches says
        self.up_options = ["--nodes", nodes, "--rate", rate, "--node-storage", node_storage, "--owner", os.getpid(),
                           *(["--slurm"] if started_by == "srun" else []), *(word for image in images for word in ("--image", image)), *options]

    def __enter__(self):
        self.cluster("up", *self.up_options)
        self.measured_mbit = float(self.cluster("rate"))
        return self

    def __exit__(self, *_):
        self.cluster("down")

    def cluster(self, command, *words):
        try:
            return subprocess.run([CLUSTER, command, "--name", self.name, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True).stdout
        except subprocess.CalledProcessError as error:
            raise ExperimentError(f"experiments/cluster {command} failed with status {error.returncode}") from error

    def url(self, image):
        return f"nbd://10.77.255.1/{pathlib.Path(image).name}"

    def memory_url(self, file):
        """Of a file that was given by --in-memory."""
        return f"nbd://10.77.255.1:10810/{pathlib.Path(file).name}"

    def served_bytes(self):
        return int(self.cluster("served"))

    def disk(self):
        """The counters of the storage node's modelled disk."""
        return json.loads(self.cluster("disk"))

    def forget_caches(self):
        """Empties the nodes' own storage."""
        self.holding = 0
        for path in (self.node_storage / f"vmi-cluster-{self.name}").glob("node*/cache/*"):
            path.unlink()

    def forget(self, name):
        """Removes the nodes' own files of this name."""
        for path in (self.node_storage / f"vmi-cluster-{self.name}").glob(f"node*/{name}"):
            path.unlink()

    def start_ranks(self, ranks, words, log, timeout, started=None):
        """Runs the words on the first `ranks` nodes, one rank each; see run()."""
        starter = {"mpirun": ["mpirun", "-n", ranks], "srun": ["srun", "--nodes", ranks, "--ntasks", ranks]}[self.started_by]
        return self.run([*starter, *words], log, timeout, started)

    def run(self, words, log, timeout, started=None):
        """Runs the words on the first node; the exit status. The output goes to the file `log`.

        `started`: what they say once they only wait. Until then no others that say so start: processes that all nodes start need all
        processors for seconds, and MPI has failed to start beside others that did.
        """
        command = [CLUSTER, "run", "--name", self.name, "--", *words]
        with contextlib.ExitStack() as alone, open(log, "wb") as out:
            if started:
                alone.enter_context(self.starting)
            end = time.monotonic() + timeout
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            try:
                while started and process.poll() is None and time.monotonic() < end and started not in log.read_text(errors="replace"):
                    time.sleep(0.2)
                alone.close()
                return process.wait(max(0, end - time.monotonic()))
            except subprocess.TimeoutExpired as error:
                raise ExperimentError(f"'{' '.join(map(str, words[:3]))} ...' did not end within {timeout:.0f} s; see {log}") from error
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()


class Meter:
    """Calls sample(), which its heirs have, every `interval` seconds and once at the end; a context manager."""
    interval = 0.25

    def __enter__(self):
        self.end = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()
        self.sample()

    def _run(self):
        while True:
            self.sample()
            if self.end.wait(self.interval):
                return


class CpuMeter(Meter):
    """How busy this machine's processors are."""

    def __init__(self):
        self.samples = []

    def sample(self):
        with open("/proc/stat", encoding="ascii") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
        self.samples.append((time.time(), sum(ticks) - ticks[3] - ticks[4], sum(ticks)))

    def share(self, begin, end):
        """The mean share of all processors' time that was used between two times (seconds since 1970)."""
        inside = [sample for sample in self.samples if begin - 0.3 <= sample[0] <= end + 0.3]
        if len(inside) < 2 or inside[-1][2] == inside[0][2]:
            return float("nan")
        return (inside[-1][1] - inside[0][1]) / (inside[-1][2] - inside[0][2])
