# SPDX-License-Identifier: Apache-2.0
"""The experiment traffic: what one boot reads of the base against the quota of its cache, by the cache's cluster size."""

import math
import textwrap

from matplotlib import pyplot

from .plot import BLUE, GREY, ORANGE, SKY, plain
from .table import grid, size

LOOKS = {512: (BLUE, "D"), 4096: (SKY, "^"), 65536: (ORANGE, "s")}


def medians(experiment):
    """base_bytes by (arm, granularity, quota)."""
    return experiment.valid.groupby(["arm", "granularity_bytes", "quota_bytes"]).base_bytes.median()


def text(experiment):
    a, read = experiment.attributes, medians(experiment)
    quotas = sorted(q for q in experiment.results.quota_bytes.unique() if q)
    rows = [("cache", "clusters", *(size(q) for q in quotas))]
    for (arm, clusters), bytes_read in read.groupby(level=[0, 1]):
        if arm != "plain":
            rows.append((arm, size(clusters), *(size(bytes_read.get((arm, clusters, q))) for q in quotas)))
    intro = (f"What one VM that replays the boot of '{a['trace']}' ({a['trace_bytes'] / 1e6:.0f} MB) reads of its base on the storage node, by the "
             f"server's count, against the quota of its cache; without a cache {size(_plain(read))}. The whole cache has {size(a['cache_bytes'])} with "
             "clusters of 4 KiB. Medians.")
    return textwrap.fill(intro, 120) + "\n\n" + "\n".join(grid(rows, left=2)) + "\n\n" + textwrap.fill(_findings(read, quotas), 120)


def _plain(read):
    return read.get(("plain", 0, 0), math.nan)


def _findings(read, quotas):
    cold = [f"{read.get(('cold', g, quotas[-1]), math.nan) / _plain(read):.2f} with clusters of {size(g)}" for g in LOOKS]
    warm = [f"{size(read.get(('warm', g, quotas[-1])))} with clusters of {size(g)}" for g in LOOKS]
    return (f"With the largest quota a cold cache reads, as a multiple of what no cache does: {', '.join(cold)}. A warm one reads "
            f"{', '.join(warm)}: the image's own tables, which are read when it is opened, and what the cache lacks.")


def draw(experiment):
    a, read = experiment.attributes, medians(experiment)
    figure, panels = pyplot.subplots(1, 2, figsize=(9.5, 4.2), sharey=True, layout="constrained")
    for axes, arm in zip(panels, ("cold", "warm")):
        for clusters, (colour, marker) in LOOKS.items():
            runs = experiment.valid[(experiment.valid.arm == arm) & (experiment.valid.granularity_bytes == clusters)].groupby("quota_bytes").base_bytes
            if len(runs):
                median = runs.median() / 1e6
                axes.errorbar(median.index / 1e6, median, yerr=[median - runs.min() / 1e6, runs.max() / 1e6 - median], color=colour,
                              marker=marker, capsize=2, label=f"clusters of {size(clusters)}")
        axes.axhline(_plain(read) / 1e6, color=GREY, linewidth=1.5, label="plain, no cache")
        axes.axvline(a["cache_bytes"] / 1e6, color="black", linestyle=":", linewidth=1, label="the whole cache, clusters of 4 KiB")
        axes.set_title(f"{arm} cache", fontsize=10)
        axes.set_xlabel("quota [MB]")
        axes.set_xlim(left=0)
        axes.grid(axis="y", alpha=0.3)
        plain(axes)
    # Both panels share it; the highest markers whole.
    panels[0].set_ylim(0, 1.08 * max(_plain(read) / 1e6, *(axes.dataLim.y1 for axes in panels)))
    panels[0].set_ylabel("read of the base in one boot [MB]")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="upper center", ncol=3, fontsize=8, frameon=False)
    figure.get_layout_engine().set(rect=(0, 0, 1, 0.88))
    figure.supxlabel(f"Replayed boot of '{a['trace']}' ({a['trace_bytes'] / 1e6:.0f} MB); bytes asked of the images' server. Median, least and most "
                     "of the runs.\nBytes, not times: links and dilation do not enter.", fontsize=7)
    return figure
