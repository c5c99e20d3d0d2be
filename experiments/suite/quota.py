# SPDX-License-Identifier: Apache-2.0
"""quota: one boot against the quota of its cache: warm, cold in memory, cold on disk, plain

One node, whose link to the storage node is slow. Warm caches are profiled anew for each quota and hold the boot's beginning. Needs
the QEMU with the cache driver, which stops filling at the quota.
"""
import pathlib
import shutil
import subprocess
import tempfile

from .box import BIN, ROOT, Box, ExperimentError, qemu
from .fleet import launch
from .inputs import boot_of
from .one_image import accepts

QUICK = ("tiny", 100, [0.5, 1.25], 0.2, 1)
FULL = ("debian", 50, [0.1, 0.25, 0.5, 0.75, 1.0, 1.25], 1.0, 3)
ARMS = ("warm", "cold in memory", "cold on disk")


def run(results, folder, full):
    image, rate, shares, think, repeats = FULL if full else QUICK
    boot = boot_of(image)
    results.attributes.update(trace=boot.name, trace_bytes=boot.read_bytes, cache_bytes=boot.cache.stat().st_size, think_s=boot.think_s,
                              think_factor=think, rate_mbit=rate)
    if not accepts(boot, ["--cache", "cold", "--driver", "vmicache"]):
        raise ExperimentError(f"{qemu()} has no vmicache driver: qemu-driver/build makes one, or name one in VMI_QEMU")
    points = [("plain", 0.0)] + [(arm, share) for share in shares for arm in ARMS]
    todo = [(arm, share, repeat) for repeat in range(repeats) for arm, share in points if not results.has(arm=arm, share=share, repeat=repeat)]
    if not todo:
        return
    caches = {}
    with Box(1, f"{rate}mbit", [boot.image]) as box, tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="quota-") as disk:
        for arm, share, repeat in todo:
            # A quota bounds the file; it needs room for metadata even when it holds nothing.
            quota = int(share * boot.cache.stat().st_size) // 4096 * 4096
            options = {"plain": ["--cache", "none"], "cold in memory": ["--cache", "cold", "--quota", quota],
                       "cold on disk": ["--cache", "cold", "--quota", quota, "--node-dir", disk]}.get(arm)
            if arm == "warm":
                if quota not in caches:
                    caches[quota] = warm_cache(boot, quota, folder)
                options = ["--cache", caches[quota]]
            box.forget_caches()
            shutil.rmtree(pathlib.Path(disk) / "cache", ignore_errors=True)
            record = folder / f"{arm.replace(' ', '-')}-{share}-{repeat}.h5"
            row, used = launch(box, boot, 1, options, record, think, timeout=300, notes={"dilation": results.attributes["dilation"]})
            first = {"arm": arm, "share": share, "quota_bytes": quota, "repeat": repeat, "last_boot_s": row["last_boot_s"]}
            results.add({**first, **row}, used)
    for cache in caches.values():
        cache.unlink()


def warm_cache(boot, quota, folder):
    cache = folder / f"{quota}.vmic"
    done = subprocess.run([BIN / "vmicache", "build", "--image", boot.image, "--output", cache, "--accel", "tcg", "--quota", str(quota)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise ExperimentError(f"profiling {boot.name} failed: {done.stderr.strip().splitlines()[-1]}")
    return cache
