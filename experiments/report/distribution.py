# SPDX-License-Identifier: Apache-2.0
"""The experiment distribution: times against what the link allows."""

import textwrap

from matplotlib import pyplot

from .plot import BLUE, GREEN, GREY, ORANGE, RED, log_values, plain
from .table import grid, size

LOOKS = {"ours": (BLUE, "D"), "MPI_Bcast": (RED, "o"), "MPI_Bcast tuned": (ORANGE, "s"), "sbcast": (GREEN, "^"), "read by each": (GREY, "v")}
MOST = 1.25  # the ratio that is wanted of ours


def points_of(frame):
    return list(frame.groupby(["nodes", "rate_mbit", "size_bytes", "payload"]))


def text(experiment):
    v = experiment.valid
    rows = [("nodes", "link [Mbit/s]", "payload", "limit [s]", *(f"{scheme} [s]" for scheme in LOOKS), "ours / limit", "sbcast / ours")]
    for (nodes, rate, bytes_, kind), frame in points_of(v):
        median = frame.groupby("scheme").time_s.median()
        ours = frame[frame.scheme == "ours"]
        rows.append((str(nodes), f"{rate:g}", f"{size(bytes_)} {kind}", f"{frame.limit_s.min():.2f}",
                     *(f"{median[scheme]:.2f}" if scheme in median else "-" for scheme in LOOKS),
                     f"{ours.ratio.median():.2f}" if len(ours) else "-",
                     f"{median['sbcast'] / median['ours']:.1f}" if {"sbcast", "ours"} <= set(median.index) else "-"))
    intro = ("One payload, from one node to all others. The limit is what of it crosses each link, compressed where that helps, over the link's measured rate; "
             "'read by each' is every node reading it from the storage node, whose link they share; "
             "'sbcast' is Slurm's own, with its defaults. Medians; '-': void, or not measured, as it sends a copy for each node over one link.")
    return textwrap.fill(intro, 120) + "\n\n" + "\n".join(grid(rows))


def draw(experiment):
    points = points_of(experiment.valid)
    figure, axes = pyplot.subplots(figsize=(max(6.5, 1.3 * len(points) + 2), 4.4), layout="constrained")
    for scheme, (colour, marker) in LOOKS.items():
        runs = [frame[frame.scheme == scheme].ratio for _, frame in points]
        at = [i for i, ratios in enumerate(runs) if len(ratios)]
        median = [runs[i].median() for i in at]
        spread = [[runs[i].median() - runs[i].min() for i in at], [runs[i].max() - runs[i].median() for i in at]]
        axes.errorbar(at, median, yerr=spread, color=colour, marker=marker, linestyle="", markersize=7, capsize=3, label=scheme)
    axes.axhline(1, color="black", linewidth=1, label="the link's limit")
    axes.axhline(MOST, color="black", linestyle="--", linewidth=1, label=f"{MOST:g} x the limit")
    log_values(axes)
    axes.set_ylim(bottom=0.8)
    names = [f"{nodes} nodes\n{rate:g} Mbit/s\n{size(bytes_)}\n{textwrap.fill(kind, 14)}" for (nodes, rate, bytes_, kind), _ in points]
    axes.set_xticks(range(len(points)), names, fontsize=8)
    axes.set_xlim(-0.6, len(points) - 0.4)
    axes.set_ylabel("time / (what crosses each link, at its rate)")
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    plain(axes)
    return figure
