# SPDX-License-Identifier: Apache-2.0
"""density: 1 to 64 VMs on one node, by both backends: time, memory and processor time for each VM

The node holds the boot cache already, so nothing but starting VMs is measured. The memory of a process is its proportional
share (PSS): pages that VMs share count once in all.
"""
import os
import pathlib
import re

from .box import Box, Meter
from .fleet import launch
from .inputs import boot_of

# Image, VMs, all pauses of a boot in seconds, repeats
QUICK = ("tiny", [1, 8], 1, 1)
FULL = ("debian", [1, 4, 16, 64], 12, 3)
BACKENDS = ("qemu", "libvirt")


def run(results, folder, full):
    image, points, pauses_s, repeats = FULL if full else QUICK
    boot = boot_of(image)
    think = boot.factor(pauses_s)
    results.attributes.update(trace=boot.name, trace_bytes=boot.read_bytes, think_s=boot.think_s, think_factor=think)
    todo = [(vms, backend, repeat) for repeat in range(repeats) for vms in points for backend in BACKENDS
            if not results.has(vms=vms, backend=backend, repeat=repeat)]
    if not todo:
        return
    with Box(1, "1gbit", [boot.image]) as box:
        for backend in BACKENDS:  # libvirt's first use of an emulator takes seconds more
            launch(box, boot, 1, ["--cache", boot.cache], folder / "first.h5", 0, backend)
        for vms, backend, repeat in todo:
            with results.going_on():
                measure(results, folder, box, boot, think, vms, backend, repeat)


def measure(results, folder, box, boot, think, vms, backend, repeat):
    with PssMeter(box.name) as memory:
        row, share = launch(box, boot, 1, ["--cache", boot.cache], folder / f"{backend}-{vms}-{repeat}.h5", think, backend, vms,
                            notes={"dilation": results.attributes["dilation"]})
    first = {"backend": backend, "vms": vms, "repeat": repeat, "last_ready_s": row["last_ready_s"], "vm_pss_bytes": memory.vm_bytes // vms,
             "launcher_pss_bytes": memory.launcher_bytes}
    results.add({**first, **row}, share)


class PssMeter(Meter):
    """The most memory that the VMs and the launcher's own processes in the box `name` had."""
    interval = 0.5

    def __init__(self, name):
        self.network = os.stat(f"/run/netns/vmi-{name}-node0").st_ino
        self.vm_bytes = self.launcher_bytes = 0

    def sample(self):
        vms = launcher = 0
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            kind, pss = self._look(process)
            vms += pss if kind == "vm" else 0
            launcher += pss if kind == "launcher" else 0
        self.vm_bytes, self.launcher_bytes = max(self.vm_bytes, vms), max(self.launcher_bytes, launcher)

    def _look(self, process):
        try:
            program = os.path.basename(os.readlink(process / "exe"))
            kind = "vm" if program.startswith("qemu-system") else "launcher" if program in ("vmilaunch", "vmi-supervisor") else None
            if kind is None or os.stat(process / "ns/net").st_ino != self.network:
                return None, 0
            return kind, 1024 * int(re.search(r"^Pss:\s+(\d+)", (process / "smaps_rollup").read_text(), re.M).group(1))
        except (OSError, AttributeError):
            return None, 0  # it has just ended
