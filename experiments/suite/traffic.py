# SPDX-License-Identifier: Apache-2.0
"""traffic: what one boot reads of the storage node against its cache's quota, at 512 B, 4 KiB and 64 KiB clusters, cold and warm

Bytes that the images' server was asked for, by its own count; the guest's pauses do not matter to them and are short. Warm caches
are profiled anew for each quota and cluster size, with the replayed boot as their guest, and hold the boot's beginning. Nothing is
compared with the base before a launch, which would be counted too. Needs the QEMU with the cache driver, which stops at the quota.
"""
import functools
import subprocess

from .box import BIN, Box, ExperimentError, beside, qemu
from .fleet import launch, replay_options
from .inputs import boot_of
from .one_image import accepts

# Image, quotas (shares of the cache with 4 KiB clusters), factor on pauses, repeats
QUICK = ("tiny", [0.5, 1.25], 0.02, 1)
FULL = ("debian", [0.25, 0.5, 0.75, 1.0, 1.25, 2.0], 0.1, 3)
GRANULARITIES = (512, 4096, 65536)
ARMS = ("warm", "cold")
BESIDE = 6  # bytes, not times


def run(results, folder, full):
    image, shares, think, repeats = FULL if full else QUICK
    boot = boot_of(image)
    results.attributes.update(trace=boot.name, trace_bytes=boot.read_bytes, cache_bytes=boot.cache.stat().st_size, think_s=boot.think_s,
                              think_factor=think)
    if not accepts(boot, ["--cache", "cold", "--driver", "vmicache"]):
        raise ExperimentError(f"{qemu()} has no vmicache driver: qemu-driver/build makes one, or name one in VMI_QEMU")
    points = [("plain", 0, 0.0)] + [(arm, size, share) for size in GRANULARITIES for share in shares for arm in ARMS]
    todo = [(arm, size, share, repeat) for repeat in range(repeats) for arm, size, share in points
            if not results.has(arm=arm, granularity_bytes=size, share=share, repeat=repeat)]

    def point_of(arm, size, share, repeat):
        quota = int(share * boot.cache.stat().st_size) // 65536 * 65536
        return {"arm": arm, "granularity_bytes": size, "share": share, "quota_bytes": quota, "repeat": repeat}

    def going_on(point):
        with results.going_on():
            measure(results, folder, boot, think, point)

    beside(BESIDE, [functools.partial(going_on, point_of(*point)) for point in todo])


def measure(results, folder, boot, think, point):
    record = folder / "-".join(map(str, [point["arm"], point["granularity_bytes"], point["share"], f"{point['repeat']}.h5"]))
    warm = record.with_suffix(".vmic")
    options = {"plain": ["--cache", "none"],
               "cold": ["--cache", "cold", "--granularity", point["granularity_bytes"], "--quota", point["quota_bytes"]],
               "warm": ["--cache", warm]}[point["arm"]]
    if point["arm"] == "warm":
        profile(boot, warm, point["quota_bytes"], point["granularity_bytes"])
    # A disk that takes no time, for its counters.
    with Box(1, "1gbit", [boot.image], ["--disk", "0us:100GB"]) as box:
        before = box.disk()["asked_bytes"]
        row, share = launch(box, boot, 1, [*options, "--driver", "vmicache", "--verify-cache", "none"], record, think, timeout=300,
                            notes={"dilation": results.attributes["dilation"]})
        read = box.disk()["asked_bytes"] - before
    results.add({**point, "base_bytes": read, **row}, share, timed=False)
    warm.unlink(missing_ok=True)


def profile(boot, cache, quota, granularity):
    done = subprocess.run([str(word) for word in [BIN / "vmicache", "build", "--image", boot.image, "--output", cache, "--quota", quota,
                                                  "--granularity", granularity, "--settle", "0s", *replay_options(boot, 0)]],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise ExperimentError(f"profiling the replayed {boot.name} failed: {done.stderr.strip().splitlines()[-1]}")
