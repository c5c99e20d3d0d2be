# SPDX-License-Identifier: Apache-2.0
"""The experiment density: what one more VM on a node costs."""

import textwrap

from matplotlib import pyplot

from .plot import BLUE, ORANGE, doubling, plain
from .table import grid, size

LOOKS = {"qemu": (BLUE, "D"), "libvirt": (ORANGE, "o")}
PANELS = [("last_ready_s", 1, "launch until the last VM is ready [s]"), ("vm_pss_bytes", 2**20, "memory of a VM's QEMU [MiB]"),
          ("qemu_cpu_s", 1, "processor time of a VM's QEMU [s]")]


def text(experiment):
    a, v = experiment.attributes, experiment.valid
    rows = [("backend", "VMs", "prepare [s]", "last ready [s]", "of it boot [s]", "a VM's memory", "launcher's memory", "a VM's CPU [s]")]
    for (backend, vms), frame in v.groupby(["backend", "vms"]):
        m = frame.median(numeric_only=True)
        rows.append((backend, str(vms), f"{m.distribute_s:.2f}", f"{m.last_ready_s:.2f}", f"{m.last_boot_s:.2f}", size(m.vm_pss_bytes),
                     size(m.launcher_pss_bytes), f"{m.qemu_cpu_s:.2f}"))
    intro = (f"VMs on one node that holds the cache of '{a['trace']}', replaying its boot with pauses of {a['think_s']:.1f} s times "
             f"{a['think_factor']:.3g} (dilation {a['dilation']:g}). Memory is the proportional share at its most; the cache's pages, which all "
             "VMs share, are the file's and not in it. Medians.")
    return textwrap.fill(intro, 120) + "\n\n" + "\n".join(grid(rows))


def draw(experiment):
    figure, panels = pyplot.subplots(1, len(PANELS), figsize=(11, 3.8), layout="constrained")
    points = sorted(experiment.results.vms.unique())
    for axes, (column, unit, label) in zip(panels, PANELS):
        for backend, (colour, marker) in LOOKS.items():
            runs = experiment.valid[experiment.valid.backend == backend].groupby("vms")[column]
            if len(runs):
                median = runs.median() / unit
                axes.errorbar(median.index, median, yerr=[median - runs.min() / unit, runs.max() / unit - median], color=colour, marker=marker,
                              capsize=2, label=backend)
        doubling(axes, points)
        axes.set_ylim(0, 1.1 * max(experiment.results[column].max() / unit, 1e-9))
        axes.set_xlabel("VMs on one node")
        axes.set_ylabel(label, fontsize=9)
        axes.legend(title="backend", fontsize=8, title_fontsize=8, frameon=False)
        plain(axes)
    a = experiment.attributes
    panels[0].axhline(a["think_s"] * a["think_factor"], color="black", linestyle="--", linewidth=1)
    panels[0].annotate("recorded pauses alone", (points[0], a["think_s"] * a["think_factor"]), xytext=(0, -10), textcoords="offset points", fontsize=7)
    figure.supxlabel(f"Replayed boots of '{a['trace']}', pauses x {a['think_factor']:.3g}; dilation {a['dilation']:g}.", fontsize=7)
    return figure
