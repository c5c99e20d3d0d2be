# SPDX-License-Identifier: Apache-2.0
"""Cold reads over a slow link: the reads of a boot with their pauses, through an empty cache that fills, and without a cache."""
import pathlib
import statistics
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tests/driver"))
from tools import BUILT, Program, Server, run as run_tool, wait_until  # noqa: E402

QUOTA = 1 << 30


def record(image, folder):
    """The reads of a boot of the image to its login prompt: [(seconds after the last one was done, offset, bytes)]."""
    cache, overlay, trace, serial = (folder / name for name in ("boot-cache.qcow2", "boot-overlay.qcow2", "boot-trace", "serial"))
    make(image, cache, overlay)
    nodes = ["driver=qcow2,node-name=cache,read-only=off,file.driver=file,file.filename=" + str(cache),
             f"driver=vmicache,node-name=filter,file=cache,fill=on,quota={QUOTA},trace={trace}",
             "driver=qcow2,node-name=overlay,backing=filter,file.driver=file,file.filename=" + str(overlay)]
    argv = [BUILT / "qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-m", "256", "-display", "none", "-nodefaults", "-no-user-config",
            "-serial", f"file:{serial}", *[word for node in nodes for word in ("-blockdev", node)], "-device", "virtio-blk-pci,drive=overlay"]
    qemu = subprocess.Popen(argv)
    try:
        wait_until(lambda: qemu.poll() is not None or serial.exists() and b"login:" in serial.read_bytes(), "the login prompt", 300)
    finally:
        qemu.terminate()
        qemu.wait()
    data = trace.read_bytes()
    records = sorted(struct.unpack_from("<QQQII", data, at) for at in range(40, len(data) - 31, 32))
    reads, free = [], records[0][0]
    for submit, complete, offset, size, _ in records:
        reads.append((max(0, submit - free) / 1e9, offset, size))
        free = max(free, complete)
    return reads


def make(image, cache, overlay):
    """An empty cache of the image and an overlay of it, for a base that the nodes name; without a cache the overlay does."""
    size = image_size(image)
    run_tool(BUILT / "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image, "-o", "cluster_size=4k", cache, size)
    run_tool(BUILT / "qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "qcow2", "-b", cache, "-o", "cluster_size=64k,extended_l2=on",
             overlay, size)


def image_size(image):
    import json
    return json.loads(run_tool(BUILT / "qemu-img", "info", "--output=json", image))["virtual-size"]


def replay(reads, image, folder, rate, with_cache):
    """Seconds that the reads took, one after the other with their pauses, and the bytes the server was asked for."""
    cache, overlay = folder / "cache.qcow2", folder / "overlay.qcow2"
    make(image, cache, overlay)
    server = Server(folder, image, "rate", rate=rate)
    nodes = [{"driver": "qcow2", "node-name": "base", "file": server.node(), "read-only": True}]
    if with_cache:
        nodes += [{"driver": "qcow2", "node-name": "cache", "file": {"driver": "file", "filename": str(cache)}, "backing": "base"},
                  {"driver": "vmicache", "node-name": "filter", "file": "cache", "fill": True, "quota": QUOTA}]
    nodes.append({"driver": "qcow2", "node-name": "overlay", "file": {"driver": "file", "filename": str(overlay)},
                  "backing": "filter" if with_cache else "base"})
    program = Program(folder)
    try:
        for node in nodes:
            program.qmp.command("blockdev-add", node)
        client = program.client("overlay")
        started = time.monotonic()
        for pause, offset, size in reads:
            if pause > 0.001:
                time.sleep(pause)
            client.pread(size, offset)
        seconds = time.monotonic() - started
        del client
        program.quit()
        return seconds, server.bytes_served()
    finally:
        if program.process.poll() is None:
            program.kill()
        server.end()


def run(image, folder, rate, runs):
    reads = record(image, folder)
    pauses, size = sum(read[0] for read in reads), sum(read[2] for read in reads)
    print(f"\ncold, base on a link of {rate}bit/s: {len(reads)} reads, {size / 1e6:.1f} MB, pauses of {pauses:.1f} s")
    results = {False: [], True: []}
    for _ in range(runs):
        for with_cache in (False, True):
            results[with_cache].append(replay(reads, image, folder, rate, with_cache))
            print(f"  {'cache that fills' if with_cache else 'no cache':17} {results[with_cache][-1][0]:7.2f} s,"
                  f" {results[with_cache][-1][1] / 1e6:.2f} MB from the base", flush=True)
    medians = {key: statistics.median(value[0] for value in values) for key, values in results.items()}
    print(f"  medians {medians[False]:.2f} s without, {medians[True]:.2f} s with the cache: ratio {medians[True] / medians[False]:.3f}")
