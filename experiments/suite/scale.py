# SPDX-License-Identifier: Apache-2.0
"""scale: a launch's stages on thousands of simulated nodes, beside the same stages in the cluster in a box

launch_stages (experiments/simgrid) does in the box what a launch does between its ranks, launch_simulation the same in SimGrid: once
with the box's links, to see how far it is off, and then with more nodes than one machine holds. Creating and booting VMs
are waits, taken from the records that one-image left, or from a launch of scale's own. Boots are divided by the dilation: the simulated
links are as fast as real ones, and so are their guests.
"""
import dataclasses
import functools
import json
import os
import subprocess
import time

import h5py
import pandas

from .box import BIN, Box, CpuMeter, ExperimentError, beside, say
from .fleet import launch
from .inputs import boot_of

MIB = 2**20
# In the box: (nodes, Mbit/s, bytes). Simulated: (nodes, Mbit/s, bytes, scheme).
QUICK = [(8, 100, 4 * MIB)], [(nodes, 1000, 2 * MIB, scheme) for nodes in (64, 128) for scheme in ("automatic", "chain")]
FULL = ([(8, 200, 64 * MIB), (16, 100, 32 * MIB), (64, 50, 16 * MIB)],
        [(nodes, 1000, 44 * MIB, "automatic") for nodes in (64, 256, 1024, 4096, 16384)]
        + [(nodes, 10000, 44 * MIB, "automatic") for nodes in (64, 1024, 4096)] + [(nodes, 1000, 78 * MIB, "automatic") for nodes in (64, 1024)]
        + [(nodes, 1000, 44 * MIB, "chain") for nodes in (64, 256, 1024)])
TCP_SHARE = 0.9415  # of a link's rate is payload: 1448 bytes of a frame that takes 1538
RANK_MBIT = 7200  # that one rank moves over TCP, however fast its link is (docs/adr/0003-distribution.md)
BOX_LATENCY_US, LATENCY_US = 40, 25  # of a link
STAGES = ("plan", "offer", "distribute", "prepare", "boot", "end")


def run(results, folder, full):
    if not (BIN / "launch_simulation").exists():
        raise ExperimentError(f"{BIN / 'launch_simulation'} is missing: install libsimgrid-dev and build again")
    measured, simulated = FULL if full else QUICK
    dilation = results.attributes["dilation"]
    delays = delays_of([folder.parent / "one-image", folder], dilation)
    if delays is None and full:
        launch_recorded(folder, dilation, *measured[-1][:2])
        delays = delays_of([folder], dilation)
    delays = delays or Delays(["--prepare", "0.3", "--boot", "2"], "round figures")
    results.attributes.update(latency_us=LATENCY_US)
    for nodes, rate, size in measured:
        point = {"nodes": nodes, "rate_mbit": rate, "size_bytes": size, "scheme": "automatic"}
        measure(results, folder, point, 3 if full else 1, delays)
        rows = [row for row in results.rows if row["kind"] == "measured" and not row["void"] and all(row[key] == value for key, value in point.items())]
        if rows and not results.has(kind="simulated box", **point):
            mbit = sorted(row["link_mbit"] for row in rows)[len(rows) // 2]
            simulate(results, "simulated box", point, mbit, BOX_LATENCY_US, delays)
    points = [{"nodes": nodes, "rate_mbit": rate, "size_bytes": size, "scheme": scheme} for nodes, rate, size, scheme in simulated]
    points.sort(key=lambda point: -point["nodes"] * point["size_bytes"])  # the longest first, so that none ends alone
    beside(os.cpu_count(), [
        functools.partial(simulate, results, "simulated", point, min(point["rate_mbit"] * TCP_SHARE, RANK_MBIT), LATENCY_US, delays)
        for point in points if not results.has(kind="simulated", **point)])


def measure(results, folder, point, repeats, delays):
    todo = [repeat for repeat in range(repeats) if not results.has(kind="measured", **point, repeat=repeat)]
    if not todo:
        return
    log = folder / "run.log"
    with Box(point["nodes"], f"{point['rate_mbit']}mbit") as box:
        for repeat in todo:
            with results.going_on():
                measure_one(results, box, point, repeat, delays, log)


def measure_one(results, box, point, repeat, delays, log):
    begin = time.time()
    with CpuMeter() as meter:
        status = box.start_ranks(point["nodes"], [BIN / "launch_stages", "--size", point["size_bytes"], "--repeat", 1, *delays.options], log, 600)
    if status != 0:
        raise ExperimentError(f"launch_stages ended with status {status}; see {log}")
    output = log.read_text()  # behind what mpirun may say
    keep(results, "measured", point, json.loads(output[output.index("[\n"):])[0], box.measured_mbit, delays, meter.share(begin, time.time()), repeat)


def simulate(results, kind, point, mbit, latency, delays):
    command = ["nice", "-n", 19, BIN / "launch_simulation", "--nodes", point["nodes"], "--rate", f"{mbit:.1f}", "--latency", latency, "--size", point["size_bytes"],
               "--scheme", point["scheme"], "--contents", "checked" if point["nodes"] <= 64 else "none", *delays.options]
    begin = time.time()
    with CpuMeter() as meter:
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        say(f"{point['nodes']} simulated nodes: launch_simulation ended with status {done.returncode}: {done.stderr.strip()[-200:]}")
        raise ExperimentError(f"the simulation of {point['nodes']} nodes failed; what was measured is kept")
    keep(results, kind, point, json.loads(done.stdout), mbit, delays, meter.share(begin, time.time()), 0, timed=False)


def keep(results, kind, point, found, mbit, delays, share, repeat, timed=True):
    row = {"kind": kind, "nodes": point["nodes"], "rate_mbit": point["rate_mbit"], "scheme": point["scheme"], "total_s": found["total_s"],
           "size_bytes": point["size_bytes"], "repeat": repeat, "used": found["scheme"], "link_mbit": mbit,
           "limit_s": 8e-6 * point["size_bytes"] / mbit, "checked_bytes": found.get("checked_bytes", -1),
           "delays_of": delays.source}
    results.add({**row, **{f"{stage}_s": found["seconds"][stage] for stage in STAGES}}, share, timed)


@dataclasses.dataclass
class Delays:
    """How long creating and booting each VM takes: options of launch_stages and launch_simulation, and where the figures come from."""
    options: list
    source: str


def delays_of(folders, dilation):
    """Of the record there with the most VMs of launches that sent a cache; None: there is none whose VMs were all ready."""
    best = None
    for path in sorted(path for folder in folders for path in folder.glob("sent-*.h5")):
        with h5py.File(path, "r", locking=False) as file:
            vms = pandas.DataFrame(file["vms"][:])
        if len(vms) and (vms.t_ready > 0).all() and (best is None or len(vms) > len(best[0])):
            best = vms, f"{path.parent.name}/{path.name}, boots over a dilation of {dilation:g}"
    if best is None:
        return None
    vms, source = best
    listed = {"--prepare": vms.t_spawn - vms.t_prepare, "--boot": (vms.t_ready - vms.t_running) / dilation}
    return Delays([word for option, seconds in listed.items() for word in (option, ",".join(f"{s:.3f}" for s in seconds))], source)


def launch_recorded(folder, dilation, nodes, rate):
    """Leaves the record of a launch that sends `debian`'s boot cache to the nodes of a box."""
    boot = boot_of("debian")
    with Box(nodes, f"{rate}mbit", [boot.image]) as box:
        launch(box, boot, nodes, ["--cache", boot.cache], folder / f"sent-{rate}-{nodes}.h5", notes={"dilation": dilation, "arm": "sent"})
