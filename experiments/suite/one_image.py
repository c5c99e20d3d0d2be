# SPDX-License-Identifier: Apache-2.0
"""one image on 1 to 64 nodes, one VM each: plain overlays, the whole image sent first, caches

Every VM replays the same recorded boot. Node 0 has the boot cache (as a node has that profiled it), or the image's file that is
sent whole; the other nodes receive it. Links have the given rate, the storage node's too.
"""
import dataclasses
import functools
import os
import pathlib
import subprocess

from .box import BIN, Box, in_lanes, qemu
from .fleet import launch
from .inputs import Boot, boot_of
from .results import Results


@dataclasses.dataclass
class Plan:
    image: str
    points: list
    rates: list        # Mbit/s
    think: float       # factor on recorded pauses
    repeats: int


QUICK = Plan("tiny", [1, 2, 4], [100], 0.5, 1)
FULL = Plan("debian", [1, 2, 4, 16, 64], [50, 500], 1.0, 3)
FAST_MBIT = 500  # links from this rate on carry more to 64 nodes than two processors move
# These wait for the storage node's link nearly all the time, and few VMs for their pauses, so several launches run beside each other, each
# in a cluster of its own. They start one after the other: processes that all nodes start need all processors for seconds. Three of 64 nodes
# keep the processors busy for two thirds of the time, and take as long as alone.
LINK_BOUND = ("plain", "cold stock", "cold")
FEW_NODES, FEW_NODES_FAST = 16, 4
BESIDE = 3

# Options of each arm. "held" is measured with the caches that "sent" left on the nodes, or a launch before it.
ARMS = {
    "plain": lambda boot: ["--cache", "none"],
    "full": lambda boot: ["--cache", "full"],
    "cold stock": lambda boot: ["--cache", "cold", "--driver", "copy-on-read"],
    "cold": lambda boot: ["--cache", "cold", "--driver", "vmicache"],
    "sent": lambda boot: ["--cache", boot.cache],
    "held": lambda boot: ["--cache", boot.cache],
}


def run(results, folder, full):
    plan = FULL if full else QUICK
    boot = boot_of(plan.image)
    results.attributes.update(trace=boot.name, trace_bytes=boot.read_bytes, think_s=boot.think_s, think_factor=plan.think,
                              recorded_cpu_share=boot.recorded_cpu, image_bytes=boot.image.stat().st_size,
                              cache_bytes=boot.cache.stat().st_size)
    arms = usable_arms(boot)
    results.attributes["arms_left_out"] = ", ".join(sorted(set(ARMS) - set(arms)))
    for rate in plan.rates:
        work = Work(results, folder, boot, plan, rate)
        for repeat in range(plan.repeats):
            points = [(nodes, arm, repeat) for nodes in sorted(plan.points, reverse=True) for arm in arms if work.waits(nodes, arm)]
            work.beside([point for point in points if work.is_wanted(*point)])
        points = [(nodes, arm, repeat) for repeat in range(plan.repeats) for nodes in plan.points for arm in arms if not work.waits(nodes, arm)]
        rest = [point for point in points if work.is_wanted(*point)]
        big = [point for point in rest if point[1] == "full" and point[0] > most_full_copies(boot)]
        work.in_turn([point for point in rest if point not in big])
        work.in_turn(big, node_storage=folder)


@dataclasses.dataclass
class Work:
    """Measurements of one boot with links of one rate."""
    results: Results
    folder: pathlib.Path
    boot: Boot
    plan: Plan
    rate: int

    def bytes_sent(self, nodes, arm):
        """What the busiest link carries."""
        return {"full": self.boot.image.stat().st_size}.get(arm, self.boot.read_bytes * (nodes if arm in LINK_BOUND else 1))

    def expected_s(self, nodes, arm):
        return 8e-6 * self.bytes_sent(nodes, arm) / self.rate + self.boot.think_s * self.plan.think

    def is_wanted(self, nodes, arm, repeat):
        if nodes == 2 and arm != "sent":  # that point is there for T1
            return False
        if nodes > 16 and self.rate >= FAST_MBIT:
            return False
        if self.results.once_is_enough(repeat, rate_mbit=self.rate, arm=arm):
            return False
        return not self.results.has(rate_mbit=self.rate, nodes=nodes, arm=arm, repeat=repeat)

    def waits(self, nodes, arm):
        """Does this launch leave the processors to others nearly all the time? What others are compared with has the machine for itself."""
        if self.rate >= FAST_MBIT:
            return arm in LINK_BOUND or nodes <= FEW_NODES_FAST
        reference = (nodes, arm) in ((2, "sent"), (1, "held"))
        return arm in LINK_BOUND or (nodes <= FEW_NODES and not reference)

    def box(self, nodes, **options):
        return Box(nodes, f"{self.rate}mbit", [self.boot.image], started_by=self.results.attributes["started_by"], **options)

    def beside(self, points):
        def measure(box, point):
            with self.results.going_on():
                self.measure(box, *point, beside=True)

        self.in_lanes(BESIDE, points, measure)

    def in_turn(self, points, **options):
        def measure(box, point):
            with self.results.going_on():
                self.measure(box, *point)
            if options:  # room is what this is about
                box.forget_caches()

        self.in_lanes(1, points, measure, **options)

    def in_lanes(self, most, points, measure, **options):
        if points:
            in_lanes(most, points, functools.partial(self.box, max(nodes for nodes, _, _ in points), **options), measure)

    def measure(self, box, nodes, arm, repeat, beside=False):
        options = ARMS[arm](self.boot)
        if arm != "held":
            box.forget_caches()
        elif box.holding < nodes:  # another cluster has them, or what sent them was measured before
            box.forget_caches()
            launch(box, self.boot, nodes, options, self.folder / f"before-{box.name}.h5", 0, beside=beside)
        record = self.folder / f"{arm.replace(' ', '-')}-{self.rate}-{nodes}-{repeat}.h5"
        row, share = launch(box, self.boot, nodes, options, record, self.plan.think, timeout=120 + 3 * self.expected_s(nodes, arm),
                            local=arm == "full", beside=beside, notes={"dilation": self.results.attributes["dilation"], "arm": arm})
        if arm in ("sent", "held"):
            box.holding = max(box.holding, nodes)
        first = {"arm": arm, "rate_mbit": self.rate, "nodes": nodes, "repeat": repeat, "last_ready_s": row["last_ready_s"]}
        storage = "memory" if box.node_storage == pathlib.Path("/dev/shm") else "disk"
        self.results.add({**first, **row, "measured_mbit": box.measured_mbit, "node_storage": storage}, share)


def most_full_copies(boot):
    """So many nodes can keep the whole image in this machine's memory; a third of it is left for all else."""
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 2 / 3 // boot.image.stat().st_size)


def usable_arms(boot):
    """Arms whose options this vmilaunch takes with this QEMU."""
    return [arm for arm in ARMS if arm not in ("cold", "cold stock") or accepts(boot, ARMS[arm](boot))]


def accepts(boot, options):
    return subprocess.run([BIN / "vmilaunch", "--qemu", qemu(), "--image", boot.image, "--vms", "1", "--dry-run", *options], check=False,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
