# SPDX-License-Identifier: Apache-2.0
"""many-images: VMs of 1 to 64 different images, one VM a node, whose storage node has one disk

The disk is modelled (experiments/storage): it seeks between the images. The images are copies in name only: one file, of which node I
reads copy I modulo M, at a place of its own on the disk and in the storage node's memory. That memory is empty when a launch
begins and large enough for everything. Caches are on the nodes already, or in the storage node's memory.
"""
import dataclasses
import functools

from .box import Box, beside
from .fleet import launch
from .inputs import boot_of


@dataclasses.dataclass
class Plan:
    image: str
    nodes: int
    points: list       # numbers of images
    rate: int          # Mbit/s
    disk: tuple        # seek in ms, MB/s
    think: float       # factor on recorded pauses
    repeats: int


QUICK = Plan("tiny", 4, [1, 4], 500, (1, 100), 0.05, 1)
FULL = Plan("tiny", 64, [1, 4, 16, 64], 500, (8, 35), 1.0, 3)
LONG_S = 600  # an arm that takes longer runs once
BESIDE = 3  # plain launches wait for their disk nearly all the time, each for one of its own

ARMS = {
    "plain": lambda box, boot: ["--cache", "none"],
    "held": lambda box, boot: ["--cache", boot.cache],
    "storage memory": lambda box, boot: ["--cache", boot.cache, "--cache-placement", box.memory_url(boot.cache)],
}


def run(results, folder, full):
    plan = FULL if full else QUICK
    boot = boot_of(plan.image)
    results.attributes.update(trace=boot.name, trace_bytes=boot.read_bytes, think_s=boot.think_s, think_factor=plan.think,
                              recorded_cpu_share=boot.recorded_cpu, cache_bytes=boot.cache.stat().st_size, rate_mbit=plan.rate,
                              seek_ms=plan.disk[0], disk_mb_s=plan.disk[1], nodes=plan.nodes)
    todo = [(images, arm, repeat) for repeat in range(plan.repeats) for images in plan.points for arm in ARMS
            if not results.has(images=images, arm=arm, repeat=repeat)]
    disk_bound = sorted((point for point in todo if point[1] == "plain"), key=lambda point: -point[0])  # the longest first

    def in_boxes(points):
        with Box(plan.nodes, f"{plan.rate}mbit", [boot.image], ["--in-memory", boot.cache]) as box:
            for images, arm, repeat in points:
                if took_long(results, images, arm):
                    continue
                if arm == "held" and box.nodes_with_cache() < plan.nodes:
                    launch(box, boot, plan.nodes, ARMS[arm](box, boot), folder / "before.h5", 0)
                measure(results, folder, box, boot, plan, images, arm, repeat)

    for repeated in (False, True):  # whether an arm is long is known before it is repeated
        turn = [point for point in disk_bound if (point[2] > 0) == repeated and not took_long(results, *point[:2])]
        beside(BESIDE, [functools.partial(in_boxes, [point]) for point in turn])
    if others := [point for point in todo if point not in disk_bound]:
        in_boxes(others)


def took_long(results, images, arm):
    return any(row["last_ready_s"] > LONG_S for row in results.rows if row["images"] == images and row["arm"] == arm and not row["void"])


def measure(results, folder, box, boot, plan, images, arm, repeat):
    box.cluster("storage", "--disk", f"{plan.disk[0]}ms:{plan.disk[1]}MB", "--copies", images)
    record = folder / f"{arm.replace(' ', '-')}-{images}-{repeat}.h5"
    row, share = launch(box, boot, plan.nodes, ARMS[arm](box, boot), record, plan.think, timeout=3600,
                        notes={"dilation": results.attributes["dilation"], "arm": arm, "images": images, "disk": f"{plan.disk[0]} ms, {plan.disk[1]} MB/s"})
    disk = box.disk()
    first = {"arm": arm, "images": images, "repeat": repeat, "last_ready_s": row["last_ready_s"], "disk_busy_s": disk["busy_s"],
             "disk_seeks": disk["seeks"], "disk_bytes": disk["disk_bytes"], "base_bytes": disk["asked_bytes"]}
    results.add({**first, **row, "measured_mbit": box.measured_mbit}, share)
