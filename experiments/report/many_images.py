# SPDX-License-Identifier: Apache-2.0
"""The experiment many-images: time until the last VM is ready, against the number of different images on the storage node's disk."""

import math
import textwrap

from matplotlib import pyplot

from .plot import BLUE, GREEN, GREY, RED, doubling, log_values, plain
from .table import grid, size

NAMES = {"plain": "plain qcow2 overlays", "storage memory": "caches in the storage node's memory", "held": "caches on the nodes"}
LOOKS = {"plain": (RED, "o"), "storage memory": (BLUE, "D"), "held": (GREEN, "P")}


def text(experiment):
    a, v = experiment.attributes, experiment.valid
    m = v.groupby(["arm", "images"]).median(numeric_only=True)
    rows = [("", "images", "last VM ready [s]", "disk busy [s]", "seeks", "read from disk", "sent by the storage node")]
    for arm, name in NAMES.items():
        for images in sorted(v.images.unique()):
            if (arm, images) in m.index:
                row = m.loc[arm, images]
                rows.append((name, str(images), f"{row.last_ready_s:.1f}", f"{row.disk_busy_s:.1f}", f"{row.disk_seeks:.0f}", size(row.disk_bytes),
                             size(row.served_bytes)))
    return textwrap.fill(_intro(a), 120) + "\n\n" + "\n".join(grid(rows)) + "\n\n" + textwrap.fill(_findings(m), 120)


def _intro(a):
    d = a["dilation"]
    return (f"{a['nodes']} nodes, one replayed VM each ('{a['trace']}', {a['trace_bytes'] / 1e6:.0f} MB, pauses of {a['think_s']:.1f} s times "
            f"{a['think_factor']:.3g}), of 1 to {a['nodes']} different images on one modelled disk: {a['seek_ms']:g} ms a seek, {a['disk_mb_s']:g} MB/s, "
            f"links of {a['rate_mbit']:g} Mbit/s. Guests compute about {d:g} times slower here than with KVM: the disk stands for one of "
            f"{a['seek_ms'] / d:.2g} ms and {a['disk_mb_s'] * d:.0f} MB/s, the links for {a['rate_mbit'] * d / 1000:.2g} Gbit/s. The images are copies "
            "in name only: one file with a place on the disk, and in the storage node's memory, for each; that memory is empty at first and then keeps "
            "what was read. Every VM proved by a checksum that it read the right bytes. Medians.")


def _findings(m):
    most, least = max(i for _, i in m.index), min(i for _, i in m.index)

    def at(arm, images):
        return m.last_ready_s.get((arm, images), math.nan)
    return (f"From {least} to {most} images the last VM is ready later by a factor of: "
            + "; ".join(f"{name} {at(arm, most) / at(arm, least):.2f}" for arm, name in NAMES.items())
            + f". With {most} images plain overlays take {at('plain', most) / at('held', most):.1f} times as long as caches on the nodes, "
            f"{at('plain', most) / at('storage memory', most):.1f} times as long as caches in the storage node's memory.")


def draw(experiment):
    a, v = experiment.attributes, experiment.valid
    figure, axes = pyplot.subplots(figsize=(7.5, 4.8), layout="constrained")
    points = sorted(experiment.results.images.unique())
    for arm, name in NAMES.items():
        runs = v[v.arm == arm].groupby("images").last_ready_s
        if len(runs):
            median, (colour, marker) = runs.median(), LOOKS[arm]
            axes.errorbar(median.index, median, yerr=[median - runs.min(), runs.max() - median], color=colour, marker=marker, markersize=5,
                          linewidth=1.5, capsize=2, label=name)
    busy = v[v.arm == "plain"].groupby("images").disk_busy_s.median()
    axes.plot(busy.index, busy, color=GREY, linestyle="-.", linewidth=1, label="the disk's busy time, plain overlays")
    axes.axhline(8e-6 * a["trace_bytes"] * a["nodes"] / v.measured_mbit.median(), color="black", linestyle=":", linewidth=1,
                 label="every boot's bytes over the storage node's link")
    axes.axhline(a["think_s"] * a["think_factor"], color="black", linestyle="--", linewidth=1, label="a boot's recorded pauses alone")
    doubling(axes, points)
    log_values(axes)
    axes.set_xlabel(f"different images, {a['nodes']} nodes with one VM each")
    axes.set_ylabel("launch until the last VM is ready [s]")
    axes.grid(axis="y", alpha=0.3)
    plain(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="upper center", ncol=2, fontsize=8, frameon=False)
    figure.get_layout_engine().set(rect=(0, 0, 1, 0.85))
    d = a["dilation"]
    figure.supxlabel(f"Replayed boots of '{a['trace']}' ({a['trace_bytes'] / 1e6:.0f} MB, pauses {a['think_s']:.1f} s x {a['think_factor']:.3g}); disk "
                     f"{a['seek_ms']:g} ms and {a['disk_mb_s']:g} MB/s, links {a['rate_mbit']:g} Mbit/s.\nDilation {d:g}: they stand for "
                     f"{a['seek_ms'] / d:.2g} ms, {a['disk_mb_s'] * d:.0f} MB/s and {a['rate_mbit'] * d / 1000:.2g} Gbit/s. Median, least and most of the runs.",
                     fontsize=7)
    return figure
