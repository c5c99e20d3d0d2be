# SPDX-License-Identifier: Apache-2.0
"""Warm reads: a raw file, stock qcow2, the filter above the same qcow2, and that with vmipagecache below it, by qemu-img bench, everything in
memory.

By io_uring on one core: what is in the page cache is then read without a change of thread, and what is left is the cost of the
block layer. With a pool of threads the wake-ups, on this core or on another, are most of a read, and differ threefold between runs.
"""
import json
import os
import re
import resource
import statistics
import subprocess

MiB = 1024 * 1024
DISK = 256 * MiB
# name, bytes of a read, distance of two reads, requests in flight, reads. The distance of the scattered ones is a prime number of
# pages, so that they visit every page of the disk once, far from each other.
PATTERNS = [
    ("sequential, 1 in flight", 64 * 1024, 64 * 1024, 1, 16000),
    ("sequential, 16 in flight", 64 * 1024, 64 * 1024, 16, 24000),
    ("4 KiB scattered, 1 in flight", 4096, 24593 * 4096, 1, 40000),
    ("4 KiB scattered, 16 in flight", 4096, 24593 * 4096, 16, 80000),
]


def make_files(tools, folder, cluster):
    """A raw base of noise, a cache that holds all of it, and an empty overlay of the cache."""
    base, cache, overlay = folder / "base.raw", folder / "cache.qcow2", folder / "overlay.qcow2"
    if not base.exists():
        with base.open("wb") as file:
            for _ in range(DISK // MiB):
                file.write(os.urandom(MiB))
    def img(*words):
        subprocess.run([tools / "qemu-img", *map(str, words)], check=True)
    # Converted without its backing file, so that every cluster is there, and named it afterwards.
    img("convert", "-O", "qcow2", "-o", f"cluster_size={cluster}", base, cache)
    img("rebase", "-u", "-F", "raw", "-b", base, cache)
    # The nodes say what is below the overlay.
    img("create", "-q", "-f", "qcow2", "-o", "cluster_size=64k,extended_l2=on", overlay, DISK)
    return base, cache, overlay


def graphs(base, cache, overlay):
    """Image options by name; the same driver of files for all."""
    def file(path):
        return {"driver": "file", "filename": str(path), "aio": "io_uring"}
    raw = {"driver": "raw", "file": file(base)}
    qcow2 = {"driver": "qcow2", "file": file(cache), "backing": raw}
    def above(node):
        return {"driver": "qcow2", "file": file(overlay), "backing": node}
    return {
        "raw": raw,
        "stock": above(qcow2),
        "filter": above({"driver": "vmicache", "file": qcow2}),
        "filter, pages": above({"driver": "vmicache", "file": {**qcow2, "file": {"driver": "vmipagecache", "file": file(cache)}}}),
        "filter, may fill": above({"driver": "vmicache", "fill": True, "quota": 2 * DISK, "file": {**qcow2, "read-only": False}}),
    }


def bench(tools, node, pattern):
    """Reads a second and CPU microseconds a read."""
    _, size, step, depth, count = pattern
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([tools / "qemu-img", "bench", "-c", str(count), "-d", str(depth), "-s", str(size), "-S", str(step),
                          "json:" + json.dumps(node)], check=True, stdout=subprocess.PIPE, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = float(re.search(r"Run completed in ([\d.]+) seconds", out).group(1))
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return count / seconds, cpu * 1e6 / count


def run(tools, folder, clusters, runs):
    for cluster in clusters:
        nodes = graphs(*make_files(tools, folder, cluster))
        print(f"\nclusters of {cluster} bytes: reads/s, ratio to raw, ratio to stock qcow2 (of its runs: least-most), CPU of a read")
        for pattern in PATTERNS:
            results = {name: [] for name in nodes}
            for _ in range(runs):
                for name, node in nodes.items():  # interleaved: what else the machine does hits all alike
                    results[name].append(bench(tools, node, pattern))
            print(f"  {pattern[0]}")
            for name, values in results.items():
                ratios = [one[0] / stock[0] for one, stock in zip(values, results["stock"])]
                rate, cpu = (statistics.median(column) for column in zip(*values))
                raw = statistics.median(one[0] / other[0] for one, other in zip(values, results["raw"]))
                print(f"    {name:17} {rate:9.0f}/s {raw:6.2f} {statistics.median(ratios):6.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
                      f" {cpu:7.2f} us", flush=True)
