# SPDX-License-Identifier: Apache-2.0
"""one image on 1 to 64 nodes, one VM each: plain overlays, the whole image sent first, caches

Every VM replays the same recorded boot. Node 0 has the boot cache (as a node has that profiled it), or the image's file that is
sent whole; the other nodes receive it. Links have the given rate, the storage node's too.
"""
import dataclasses
import os
import subprocess

from .box import BIN, Box, qemu, say
from .fleet import launch
from .inputs import boot_of


@dataclasses.dataclass
class Plan:
    image: str
    points: list
    rates: list        # Mbit/s
    think: float       # factor on recorded pauses
    repeats: int


QUICK = Plan("tiny", [1, 2, 4], [100], 0.5, 1)
FULL = Plan("debian", [1, 2, 4, 16, 64], [50, 500], 1.0, 3)
LONG_S = 600  # an arm that takes longer runs once

# Options of each arm. "held" is measured right after "sent", with the caches that it left on the nodes.
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
        todo = [(nodes, arm, repeat) for repeat in range(plan.repeats) for nodes in plan.points for arm in arms
                if not results.has(rate_mbit=rate, nodes=nodes, arm=arm, repeat=repeat)]
        if not todo:
            continue
        with Box(max(plan.points), f"{rate}mbit", [boot.image]) as box:
            for nodes, arm, repeat in todo:
                measure(results, folder, box, boot, plan, rate, nodes, arm, repeat)


def measure(results, folder, box, boot, plan, rate, nodes, arm, repeat):
    bytes_sent = {"plain": nodes * boot.read_bytes, "full": boot.image.stat().st_size}.get(arm, boot.read_bytes)
    expected_s = 8e-6 * bytes_sent / rate + boot.think_s * plan.think
    if repeat > 0 and expected_s > LONG_S:
        return
    if arm == "full" and (room := most_full_copies(boot)) < nodes:
        say(f"the whole image on {nodes} nodes does not fit into this machine's memory ({room} do); left out")
        return
    if arm != "held":
        box.forget_caches()
    elif box.nodes_with_cache() < nodes:  # of a run that was cut off between the two
        launch(box, boot, nodes, ARMS[arm](boot), folder / "again.h5", 0)
    record = folder / f"{arm.replace(' ', '-')}-{rate}-{nodes}-{repeat}.h5"
    row, share = launch(box, boot, nodes, ARMS[arm](boot), record, plan.think, timeout=120 + 3 * expected_s, local=arm == "full",
                        notes={"dilation": results.attributes["dilation"], "arm": arm})
    first = {"arm": arm, "rate_mbit": rate, "nodes": nodes, "repeat": repeat, "last_ready_s": row["last_ready_s"]}
    results.add({**first, **row, "measured_mbit": box.measured_mbit}, share)


def most_full_copies(boot):
    """Nodes keep their copies in memory here; a third of it is left for all else."""
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 2 / 3 // boot.image.stat().st_size)


def usable_arms(boot):
    """Arms whose options this vmilaunch takes with this QEMU."""
    return [arm for arm in ARMS if arm not in ("cold", "cold stock") or accepts(boot, ARMS[arm](boot))]


def accepts(boot, options):
    return subprocess.run([BIN / "vmilaunch", "--qemu", qemu(), "--image", boot.image, "--vms", "1", "--dry-run", *options], check=False,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
