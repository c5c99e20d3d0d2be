# SPDX-License-Identifier: Apache-2.0
"""working-set: size and overlap of what images read while they boot, over three boots each

Real guests: every image that experiments/images has a recipe for. Blocks of 4 KiB, as boot caches have them.
"""
import subprocess
import time

import h5py
import numpy

from .box import BIN, ROOT, CpuMeter, ExperimentError, qemu

BLOCK = 4096
BOOTS = 3


def run(results, folder, full):
    names = sorted(path.parent.name for path in (ROOT / "experiments/images").glob("*/recipe.sh")) if full else ["tiny"]
    for name in names:
        if results.has(image=name, boot=BOOTS - 1):
            continue
        results.rows = [row for row in results.rows if row["image"] != name]
        image = subprocess.run([ROOT / "scripts/images", name], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        trace = folder / f"{name}.h5"
        begin = time.time()
        with CpuMeter() as meter:
            done = subprocess.run([BIN / "vmicache", "build", "--image", image, "--output", folder / "cache", "--accel", "tcg", "--qemu", qemu(),
                                   "--runs", str(BOOTS), "--quota", "1G", "--timeout", "900s", "--trace-out", trace],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise ExperimentError(f"profiling {name} failed: {done.stderr.strip().splitlines()[-1]}")
        (folder / "cache").unlink()
        virtual = int(subprocess.run(["qemu-img", "info", "--output=json", image], stdout=subprocess.PIPE, text=True, check=True)
                      .stdout.split('"virtual-size":')[1].split(",")[0])
        add_boots(results, name, virtual, trace, meter.share(begin, time.time()))


def add_boots(results, name, virtual, trace, share):
    with h5py.File(trace, "r", locking=False) as file:
        rows, runs = file["boot_trace"][:], file["boot_runs"][:]
    boots = [blocks_of(rows[(rows["run"] == run) & (rows["op"] == b"read")]) for run in range(BOOTS)]
    common = boots[0]
    for blocks in boots[1:]:
        common = numpy.intersect1d(common, blocks, assume_unique=True)
    union = numpy.unique(numpy.concatenate(boots))
    for boot, blocks in enumerate(boots):
        mine = rows[(rows["run"] == boot) & (rows["op"] == b"read")]
        results.add({"image": name, "boot": boot, "unique_bytes": len(blocks) * BLOCK, "ready_s": float(runs["t_ready"][boot]),
                     "requests": len(mine), "read_bytes": int(mine["bytes"].sum()), "common_bytes": len(common) * BLOCK,
                     "union_bytes": len(union) * BLOCK, "virtual_bytes": virtual}, share, timed=False)


def blocks_of(reads):
    """The numbers of the blocks that the reads touch, each once, ascending."""
    first, last = reads["offset"] // BLOCK, (reads["offset"] + reads["bytes"] - 1) // BLOCK
    return numpy.unique(numpy.concatenate([numpy.arange(a, b + 1) for a, b in zip(first, last)]))
