# SPDX-License-Identifier: Apache-2.0
"""many-images: VMs of 1 to 64 different images, one VM a node, whose storage node has one disk

The disk is modelled (experiments/storage): it seeks between the images. The images are copies in name only: one file, of which node I
reads copy I modulo M, at a place of its own on the disk and in the storage node's memory. That memory is empty when a launch
begins and large enough for everything. Caches are on the nodes already, or in the storage node's memory.
"""
import dataclasses

from .box import Box, in_lanes
from .fleet import launch
from .inputs import boot_of


@dataclasses.dataclass
class Plan:
    image: str
    nodes: int
    points: list       # numbers of images
    rate: int          # Mbit/s
    disk: tuple        # seek in ms, MB/s
    pauses_s: float    # all of a boot's
    repeats: int


QUICK = Plan("tiny", 4, [1, 4], 500, (1, 100), 0.3, 1)
FULL = Plan("tiny", 64, [1, 4, 16, 64], 150, (8, 35), 24, 3)
# Launches that read from the storage node wait for its disk or link nearly all the time, so several run beside each other, each in a cluster of its own.
BESIDE = 2

ARMS = {
    "plain": lambda box, boot: ["--cache", "none"],
    "held": lambda box, boot: ["--cache", boot.cache],
    "storage memory": lambda box, boot: ["--cache", boot.cache, "--cache-placement", box.memory_url(boot.cache)],
}


def run(results, folder, full):
    plan = FULL if full else QUICK
    boot = boot_of(plan.image)
    results.attributes.update(trace=boot.name, trace_bytes=boot.read_bytes, think_s=boot.think_s, think_factor=boot.factor(plan.pauses_s),
                              recorded_cpu_share=boot.recorded_cpu, cache_bytes=boot.cache.stat().st_size, rate_mbit=plan.rate,
                              seek_ms=plan.disk[0], disk_mb_s=plan.disk[1], nodes=plan.nodes)

    def todo(arms, repeat):
        return [(images, arm, repeat) for images in sorted(plan.points, reverse=True) for arm in arms
                if not results.has(images=images, arm=arm, repeat=repeat) and not results.once_is_enough(repeat, arm=arm)]

    def box():
        return Box(plan.nodes, f"{plan.rate}mbit", [boot.image], ["--in-memory", boot.cache])

    def measure_beside(box, point):
        with results.going_on():
            measure(results, folder, box, boot, plan, *point, beside=True)

    def measure_held(box, point):
        with results.going_on():
            if box.holding < plan.nodes:
                launch(box, boot, plan.nodes, ARMS["held"](box, boot), folder / "before.h5", 0)
                box.holding = plan.nodes
            measure(results, folder, box, boot, plan, *point)

    for repeat in range(plan.repeats):
        in_lanes(BESIDE, todo(("plain", "storage memory"), repeat), box, measure_beside)
    in_lanes(1, [point for repeat in range(plan.repeats) for point in todo(["held"], repeat)], box, measure_held)


def measure(results, folder, box, boot, plan, images, arm, repeat, **options):
    box.cluster("storage", "--disk", f"{plan.disk[0]}ms:{plan.disk[1]}MB", "--copies", images)
    record = folder / f"{arm.replace(' ', '-')}-{images}-{repeat}.h5"
    row, share = launch(box, boot, plan.nodes, ARMS[arm](box, boot), record, boot.factor(plan.pauses_s), timeout=3600, **options,
                        notes={"dilation": results.attributes["dilation"], "arm": arm, "images": images, "disk": f"{plan.disk[0]} ms, {plan.disk[1]} MB/s"})
    disk = box.disk()
    first = {"arm": arm, "images": images, "repeat": repeat, "last_ready_s": row["last_ready_s"], "disk_busy_s": disk["busy_s"],
             "disk_seeks": disk["seeks"], "disk_bytes": disk["disk_bytes"], "base_bytes": disk["asked_bytes"]}
    results.add({**first, **row, "measured_mbit": box.measured_mbit}, share)
