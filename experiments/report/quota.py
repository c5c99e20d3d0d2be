# SPDX-License-Identifier: Apache-2.0
"""The experiment quota: boot time and base traffic of one VM against the quota of its cache."""

import textwrap

from matplotlib import pyplot

from .plot import BLUE, GREY, ORANGE, SKY, plain
from .table import grid, size

LOOKS = {"warm": (BLUE, "D"), "cold in memory": (SKY, "^"), "cold on disk": (ORANGE, "s")}
PANELS = [("last_boot_s", 1, "running until ready [s]"), ("served_bytes", 1e6, "sent by the storage node [MB]")]


def text(experiment):
    a, v = experiment.attributes, experiment.valid
    rows = [("cache", "quota", "of the whole cache", "boot [s]", "sent by the storage node", "missed, by the driver")]
    for (arm, share), frame in v.groupby(["arm", "share"]):
        m = frame.median(numeric_only=True)
        rows.append((arm, size(m.quota_bytes) if share else "-", f"{share:.0%}" if share else "-", f"{m.last_boot_s:.2f}", size(m.served_bytes),
                     size(m.missed_bytes) if m.missed_bytes >= 0 else "-"))
    intro = (f"One VM that replays the boot of '{a['trace']}' ({a['trace_bytes'] / 1e6:.0f} MB, pauses of {a['think_s']:.1f} s times "
             f"{a['think_factor']:g}) over a link of {a['rate_mbit']:g} Mbit/s, dilation {a['dilation']:g}: a link of R stands for "
             f"{a['dilation']:g} R. The whole cache has {size(a['cache_bytes'])}. Medians.")
    return textwrap.fill(intro, 120) + "\n\n" + "\n".join(grid(rows))


def draw(experiment):
    a, v = experiment.attributes, experiment.valid
    figure, panels = pyplot.subplots(1, len(PANELS), figsize=(9, 4), layout="constrained")
    base = v[v.arm == "plain"]
    for axes, (column, unit, label) in zip(panels, PANELS):
        for arm, (colour, marker) in LOOKS.items():
            runs = v[v.arm == arm].groupby("quota_bytes")[column]
            if len(runs):
                median = runs.median() / unit
                axes.errorbar(median.index / 1e6, median, yerr=[median - runs.min() / unit, runs.max() / unit - median], color=colour,
                              marker=marker, capsize=2, label=arm)
        axes.axhline(base[column].median() / unit, color=GREY, linewidth=1.5, label="plain, no cache")
        axes.axvline(a["cache_bytes"] / 1e6, color="black", linestyle=":", linewidth=1, label="the whole cache")
        axes.set_xlim(left=0)
        axes.set_ylim(0, 1.1 * v[column].max() / unit)
        axes.set_xlabel("quota [MB]")
        axes.set_ylabel(label)
        plain(axes)
    panels[0].legend(fontsize=8, frameon=False, loc="lower left")
    figure.supxlabel(f"Replayed boots of '{a['trace']}', pauses x {a['think_factor']:g}, link {a['rate_mbit']:g} Mbit/s; dilation "
                     f"{a['dilation']:g}: a link of R stands for {a['dilation']:g} R.", fontsize=7)
    return figure
