# SPDX-License-Identifier: Apache-2.0
"""quota: one boot against the quota of its cache: warm, cold in memory, cold on disk, plain

One node, whose link to the storage node is slow. Warm caches are profiled anew for each quota and hold the boot's beginning. Needs
the QEMU with the cache driver, which stops filling at the quota.
"""
import functools
import subprocess
import tempfile

from .box import BIN, ROOT, Box, ExperimentError, beside, qemu
from .fleet import launch
from .inputs import boot_of
from .one_image import accepts

QUICK = ("tiny", 100, [0.5, 1.25], 0.2, 1)
FULL = ("debian", 50, [0.25, 0.5, 0.75, 1.0, 1.25], 1.0, 3)
ARMS = ("warm", "cold in memory", "cold on disk")
BESIDE = 8  # boots that wait for links of their own nearly all the time


def run(results, folder, full):
    image, rate, shares, think, repeats = FULL if full else QUICK
    boot = boot_of(image)
    results.attributes.update(trace=boot.name, trace_bytes=boot.read_bytes, cache_bytes=boot.cache.stat().st_size, think_s=boot.think_s,
                              think_factor=think, rate_mbit=rate)
    if not accepts(boot, ["--cache", "cold", "--driver", "vmicache"]):
        raise ExperimentError(f"{qemu()} has no vmicache driver: qemu-driver/build makes one, or name one in VMI_QEMU")
    points = [("plain", 0.0)] + [(arm, share) for share in shares for arm in ARMS]
    todo = [(arm, share, repeat) for repeat in range(repeats) for arm, share in points if not results.has(arm=arm, share=share, repeat=repeat)]
    # A quota bounds the file; it needs room for metadata even when it holds nothing.
    quotas = {share: int(share * boot.cache.stat().st_size) // 4096 * 4096 for _, share, _ in todo}
    warm = {share: warm_cache(boot, quotas[share], folder) for share in sorted({share for arm, share, _ in todo if arm == "warm"})}

    def measure(arm, share, repeat):
        with results.going_on(), Box(1, f"{rate}mbit", [boot.image]) as box, tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="quota-") as disk:
            options = {"plain": lambda: ["--cache", "none"], "warm": lambda: ["--cache", warm[share]],
                       "cold in memory": lambda: ["--cache", "cold", "--quota", quotas[share]],
                       "cold on disk": lambda: ["--cache", "cold", "--quota", quotas[share], "--node-dir", disk]}[arm]()
            record = folder / f"{arm.replace(' ', '-')}-{share}-{repeat}.h5"
            row, used = launch(box, boot, 1, options, record, think, timeout=300, notes={"dilation": results.attributes["dilation"]})
            first = {"arm": arm, "share": share, "quota_bytes": quotas[share], "repeat": repeat, "last_boot_s": row["last_boot_s"]}
            results.add({**first, **row}, used)

    beside(BESIDE, [functools.partial(measure, *point) for point in todo])
    for cache in warm.values():
        cache.unlink()


def warm_cache(boot, quota, folder):
    cache = folder / f"{quota}.vmic"
    done = subprocess.run([BIN / "vmicache", "build", "--image", boot.image, "--output", cache, "--accel", "tcg", "--quota", str(quota)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise ExperimentError(f"profiling {boot.name} failed: {done.stderr.strip().splitlines()[-1]}")
    return cache
