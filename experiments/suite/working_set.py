# SPDX-License-Identifier: Apache-2.0
"""working-set: size and overlap of what images read while they boot, over three boots each

Real guests: every image that experiments/images has a recipe for. Between boots of an image the same blocks are the same bytes; between
images blocks are compared by what they hold.
"""
import functools
import json
import os
import shlex
import subprocess
import time

import h5py
import numpy

from .blocks import BLOCK, blocks_of, contents_of
from .box import BIN, ROOT, CpuMeter, ExperimentError, beside, qemu

IMAGES = ROOT / "experiments/images"
BOOTS = 3
LONGEST_BOOT = "1800s"  # for the largest image, on a machine that is busy otherwise


def run(results, folder, full):
    names = sorted(path.parent.name for path in IMAGES.glob("*/recipe.sh")) if full else ["tiny"]
    results.rows = [row for row in results.rows if row["image"] in names]
    images = {name: built(name) for name in names}
    beside(os.cpu_count(), [functools.partial(measure, results, folder, name, image, boot) for boot in range(BOOTS)
                            for name, image in images.items() if not results.has(image=name, boot=boot)])
    for name, image in images.items():
        compare_boots(results, folder, name, image)
    compare_images(results, folder, names)


def built(name):
    done = subprocess.run([ROOT / "scripts/images", name], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise ExperimentError(f"cannot build the image '{name}'")
    return done.stdout.strip()


def measure(results, folder, name, image, boot):
    trace, cache = folder / f"{name}-{boot}.h5", folder / f"{name}-{boot}.vmic"
    begin = time.time()
    with CpuMeter() as meter:
        done = subprocess.run([BIN / "vmicache", "build", "--image", image, "--output", cache, "--accel", "tcg", "--qemu", qemu(), "--quota", "0",
                               "--timeout", LONGEST_BOOT, "--trace-out", trace, *profile_options(name)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise ExperimentError(f"profiling {name} failed: {done.stderr.strip().splitlines()[-1]}")
    cache.unlink()
    reads, ready = recorded(trace)
    results.add({"image": name, "boot": boot, "unique_bytes": len(blocks_of(reads)) * BLOCK, "ready_s": ready, "requests": len(reads),
                 "read_bytes": int(reads["bytes"].sum()), "virtual_bytes": virtual_bytes(image)}, meter.share(begin, time.time()), timed=False)


def profile_options(name):
    """What a boot of this image needs, in options of `vmicache build`."""
    path = IMAGES / name / "profile-options"
    return shlex.split(path.read_text(), comments=True) if path.exists() else []


def recorded(trace):
    """The reads of a boot, and when it was ready [s]."""
    with h5py.File(trace, "r", locking=False) as file:
        rows = file["boot_trace"][:]
        return rows[rows["op"] == b"read"], float(file["boot_runs"]["t_ready"][0])


def virtual_bytes(image):
    return json.loads(subprocess.run(["qemu-img", "info", "--output=json", image], stdout=subprocess.PIPE, check=True).stdout)["virtual-size"]


def compare_boots(results, folder, name, image):
    """In every row of the image: what all its boots read, what any did, and that compressed. Keeps what it was for compare_images."""
    boots = [blocks_of(recorded(folder / f"{name}-{boot}.h5")[0]) for boot in range(BOOTS)]
    common, union = functools.reduce(numpy.intersect1d, boots), functools.reduce(numpy.union1d, boots)
    digests, zstd_bytes = contents_of(image, union)
    numpy.save(contents_file(folder, name), digests)
    for row in results.rows:
        if row["image"] == name:
            row.update(common_bytes=len(common) * BLOCK, union_bytes=len(union) * BLOCK, zstd_bytes=zstd_bytes)


def contents_file(folder, name):
    """The digests of what the boots of the image read."""
    return folder / f"{name}.contents.npy"


def compare_images(results, folder, names):
    """In every row, of what any boot of its image read, each content once: the bytes, and how many of them each image's boots read too."""
    contents = {name: numpy.load(contents_file(folder, name)) for name in names}
    everything = functools.reduce(numpy.union1d, contents.values())
    for row in results.rows:
        mine = contents[row["image"]]
        row["distinct_bytes"], row["all_distinct_bytes"] = len(mine) * BLOCK, len(everything) * BLOCK
        for other in names:
            row[f"in_{other}_bytes"] = len(numpy.intersect1d(mine, contents[other], assume_unique=True)) * BLOCK
