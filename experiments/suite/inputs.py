# SPDX-License-Identifier: Apache-2.0
"""Guest images with their boot caches and recorded boots, made once and kept beside the images."""
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from .box import BIN, ROOT, CpuMeter, ExperimentError, say

STORE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "vmilaunch-build/experiments"


@dataclasses.dataclass
class Boot:
    """A recorded boot: what replays it, and what must come out."""
    name: str
    image: pathlib.Path
    cache: pathlib.Path
    trace: pathlib.Path
    full: str          # checksum of all reads
    read_bytes: int
    think_s: float     # recorded pauses
    recorded_cpu: float  # share of the machine that was busy while it was recorded; with one guest, 1 of its processors is

    def factor(self, pauses_s):
        """What the recorded pauses are multiplied by to take `pauses_s` in all."""
        return pauses_s / self.think_s


def boot_of(name):
    """The boot of scripts/images' image `name`, recorded now unless that was done before."""
    done = subprocess.run([ROOT / "scripts/images", name], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise ExperimentError(f"cannot build the image '{name}'")
    image = pathlib.Path(done.stdout.strip())
    key = f"{name}-{image.stat().st_mtime_ns}"
    STORE.mkdir(parents=True, exist_ok=True)
    folder = STORE / key
    with open(STORE / f"{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            for old in STORE.glob(f"{name}-*"):
                shutil.rmtree(old)
            with tempfile.TemporaryDirectory(dir=STORE) as new:
                _record(image, pathlib.Path(new) / "boot")
                (pathlib.Path(new) / "boot").rename(folder)
    # What must come out is computed each time: the checksum is this tree's, the recording may be older.
    facts = json.loads(_run("replay-trace", "expect", folder / "boot.trace", image))
    return Boot(name, image, folder / "boot.vmic", folder / "boot.trace", facts["full"], facts["read_bytes"], facts["think_s"],
                json.loads((folder / "facts.json").read_text())["recorded_cpu"])


def _record(image, folder):
    folder.mkdir()
    say(f"recording a boot of {image.name}")
    with CpuMeter() as meter:
        begin = time.time()
        _run("vmicache", "build", "--image", image, "--output", folder / "boot.vmic", "--accel", "tcg", "--trace-out", folder / "boot.h5")
        share = meter.share(begin, time.time())
    _run("replay-trace", "convert", folder / "boot.h5", folder / "boot.trace")
    (folder / "facts.json").write_text(json.dumps({"recorded_cpu": share}))


def _run(program, *words):
    done = subprocess.run([BIN / program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise ExperimentError(f"{program} {words[0]} failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}")
    return done.stdout
