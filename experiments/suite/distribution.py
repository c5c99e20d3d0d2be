# SPDX-License-Identifier: Apache-2.0
"""distribution alone: ours, MPI_Bcast, tuned MPI_Bcast, Slurm's sbcast, every node reading for itself, the link's limit

distribution_bench (experiments/bench/distribution) does the first three; what every node reads for itself comes from the
storage node's NBD server. The payload is of random bytes, which do not compress, or a file that launches send: a boot cache, the whole image.
"""
import contextlib
import json
import os
import re
import shutil
import time

from .box import BIN, Box, CpuMeter, ExperimentError, in_lanes
from .inputs import boot_of

MIB = 2**20
RANDOM = "random bytes"
FILES = {"boot cache": lambda boot: boot.cache, "image": lambda boot: boot.image}
# (image that a file is of, points): nodes, Mbit/s, payload, bytes of random ones
QUICK = ("tiny", [(4, 200, "boot cache", None), (8, 200, RANDOM, 16 * MIB)])
FULL = ("debian", [(8, 1000, RANDOM, 16 * MIB), (8, 1000, RANDOM, 64 * MIB), (8, 1000, RANDOM, 256 * MIB), (8, 1000, "boot cache", None),
                   (8, 1000, "image", None), (16, 200, RANDOM, 64 * MIB), (32, 100, RANDOM, 32 * MIB), (64, 50, RANDOM, 16 * MIB),
                   (64, 50, RANDOM, 64 * MIB)])
TUNED = ["--mca", "coll_tuned_use_dynamic_rules", 1, "--mca", "coll_tuned_bcast_algorithm", 3, "--mca", "coll_tuned_bcast_algorithm_segmentsize", 131072]
SLOW_S = 200  # where a copy for each node over one link takes longer, schemes that send so many, or spin that long, are left out
# Over such links, those that send a copy for each node wait for one link nearly all the time, so several run beside each other.
SLOW_LINK_MBIT = 200
BESIDE = 3
SCHEMES = {"ours": ([], "automatic"), "MPI_Bcast": ([], "bcast"), "MPI_Bcast tuned": (TUNED, "bcast")}


def run(results, folder, full):
    repeats = 3 if full else 1
    image, points = FULL if full else QUICK
    for nodes, rate, content, size in points:
        source = FILES[content](boot_of(image)) if content in FILES else None
        size = size or source.stat().st_size
        point = {"nodes": nodes, "rate_mbit": rate, "payload": content if source is None else f"{content} of {image}", "size_bytes": size}
        todo = [(scheme, repeat) for repeat in range(repeats) for scheme in [*SCHEMES, *BY_EACH]
                if not (scheme in SLOW and nodes * 8e-6 * size / rate > SLOW_S) and not results.has(**point, scheme=scheme, repeat=repeat)]
        if not todo:
            continue
        waiting = [each for each in todo if each[0] in BY_EACH and rate <= SLOW_LINK_MBIT]
        with payload_in(folder, source, size) as payload:

            def box():
                return Box(nodes, f"{rate}mbit", [payload], ["--slurm"])

            def measure_one(box, each):
                scheme, repeat = each
                if scheme == "MPI_Bcast" and results.is_void(**point, scheme=scheme):
                    return  # it spins: it needs all processors whenever it runs
                with results.going_on():
                    measure(results, folder, box, point, scheme, repeat)

            in_lanes(BESIDE, waiting, box, measure_one)
            in_lanes(1, [each for each in todo if each not in waiting], box, measure_one)


@contextlib.contextmanager
def payload_in(folder, source, size):
    """The file `payload` there: a copy of `source`, or random bytes."""
    payload = folder / "payload"
    try:
        if source is None:
            payload.write_bytes(os.urandom(size))
        else:
            shutil.copyfile(source, payload)
        yield payload
    finally:
        payload.unlink(missing_ok=True)


def measure(results, folder, box, point, scheme, repeat):
    limit_s = 8e-6 * point["size_bytes"] / box.measured_mbit
    log = folder / f"{scheme.replace(' ', '-')}-{point['nodes']}-{repeat}.log"
    begin = time.time()
    with CpuMeter() as meter:
        work = BY_EACH.get(scheme, bench)
        row = work(box, point, scheme, log, patience=60 + 20 * limit_s * (point["nodes"] if scheme == "read by each" else 1))
    row = {**point, "scheme": scheme, "time_s": row["time_s"], "repeat": repeat, **row, "measured_mbit": box.measured_mbit}
    row["limit_s"] = 8e-6 * row["wire_bytes"] / box.measured_mbit
    row["ratio"] = row["time_s"] / row["limit_s"]
    results.add(row, meter.share(begin, time.time()))


def bench(box, point, scheme, log, patience):
    options, name = SCHEMES[scheme]
    output = log.with_suffix(".json")
    status = box.start_ranks(point["nodes"], [*options, BIN / "distribution_bench", "--interface", "eth0", "--payload", log.parent / "payload",
                                         "--compress", "auto", "--schemes", name, "--repeat", 1, "--timeout", f"{patience:.0f}s", "--json", output],
                             log, patience + 60)
    if status != 0:
        raise ExperimentError(f"distribution_bench ended with status {status}; see {log}")
    found = json.loads(output.read_text())["runs"][0]
    return {"time_s": found["seconds"], "wire_bytes": found["wire_bytes"], "used": found["used"]}


def read_by_each(box, point, _, log, patience):
    """From the first node's start to the last one's end."""
    script = f"{MARK.format('BEGIN')}; nbdcopy {box.url('payload')} null: && {MARK.format('END')}"
    return between_marks(box.start_ranks(point["nodes"], ["sh", "-c", script], log, patience + 60), point, log, "NBD", point["nodes"])


def sbcast(box, point, _, log, patience):
    """From one node's disk in memory to all nodes', its own included."""
    script = f"{MARK.format('BEGIN')}; sbcast --force {log.parent / 'payload'} $VMI_CLUSTER_LOCAL/payload && {MARK.format('END')}"
    status = box.run(["salloc", "--quiet", "--nodes", point["nodes"], "sh", "-c", script], log, patience + 60)
    box.forget("payload")
    return between_marks(status, point, log, "sbcast", 1)


MARK = "date +{}%s.%N"
BY_EACH = {"read by each": read_by_each, "sbcast": sbcast}
SLOW = ("MPI_Bcast", *BY_EACH)


def between_marks(status, point, log, used, ends):
    times = {word: [float(at) for at in re.findall(rf"{word}([\d.]+)", log.read_text())] for word in ("BEGIN", "END")}
    if status != 0 or len(times["END"]) != ends:
        raise ExperimentError(f"distributing by {used} ended with status {status}; see {log}")
    return {"time_s": max(times["END"]) - min(times["BEGIN"]), "wire_bytes": point["size_bytes"], "used": used}
