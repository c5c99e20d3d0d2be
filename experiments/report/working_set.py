# SPDX-License-Identifier: Apache-2.0
"""The experiment working-set: what boots read, how much of it every boot reads, and how much of it other images' boots read."""

import textwrap

from matplotlib import pyplot

from .plot import BLUE, ORANGE, plain
from .table import grid

MB = 1e6


def text(experiment):
    images = by_size(experiment)
    boots = int(experiment.results.boot.max()) + 1
    intro = (f"What images read from power-on until some seconds after they are ready, in {boots} boots each, real guests under emulation, in blocks of "
             "4 KiB. 'Same': the share of all blocks that any boot read which every boot read. 'zstd': what any boot read, "
             "compressed by zstd -3.")
    parts = [textwrap.fill(intro, 120), "\n".join(grid(size_rows(images)))]
    if len(images) > 1:
        between = ("Between images: of what any boot of the image at the left read, each content once and without zeros, the share that boots of the image "
                   "above read too, wherever it lies there.")
        parts += [textwrap.fill(between, 120), "\n".join(grid(overlap_rows(images))), textwrap.fill(together(images), 120)]
    return "\n\n".join(parts)


def by_size(experiment):
    """A row for each image, with the medians of its boots; the smallest working set first."""
    return experiment.results.groupby("image").median(numeric_only=True).sort_values("union_bytes")


def size_rows(images):
    rows = [("image", "virtual [MB]", "read in a boot [MB]", "of it once [MB]", "requests", "in every boot [MB]", "in any boot [MB]", "same", "of the image",
             "zstd [MB]")]
    for image, m in images.iterrows():
        rows.append((image, f"{m.virtual_bytes / MB:.0f}", f"{m.read_bytes / MB:.1f}", f"{m.unique_bytes / MB:.1f}", f"{m.requests:.0f}",
                     f"{m.common_bytes / MB:.1f}", f"{m.union_bytes / MB:.1f}", f"{100 * m.common_bytes / m.union_bytes:.2f} %",
                     f"{100 * m.union_bytes / m.virtual_bytes:.1f} %", f"{m.zstd_bytes / MB:.1f}"))
    return rows


def overlap_rows(images):
    rows = [("image", "distinct [MB]", *(f"in {other}" for other in images.index))]
    for image, m in images.iterrows():
        rows.append((image, f"{m.distinct_bytes / MB:.1f}", *(f"{100 * shared(images, image, other):.1f} %" for other in images.index)))
    return rows


def shared(images, image, other):
    return images.at[image, f"in_{other}_bytes"] / images.at[image, "distinct_bytes"]


def together(images):
    pairs = [(shared(images, a, b), a, b) for a in images.index for b in images.index if a != b]
    most, least = max(pairs), min(pairs)
    return (f"The largest share, {100 * most[0]:.1f} %, is that of {most[1]} in {most[2]}; the smallest, {100 * least[0]:.1f} %, that of {least[1]} in "
            f"{least[2]}. All {len(images)} working sets, {images.union_bytes.sum() / MB:.0f} MB, have {images.all_distinct_bytes.iloc[0] / MB:.0f} MB of "
            "distinct contents.")


def draw(experiment):
    images = by_size(experiment)
    count = len(images)
    heights = [1.0 + 0.5 * count] + ([1.2 + 0.5 * count] if count > 1 else [])
    figure, panels = pyplot.subplots(len(heights), 1, figsize=(8, sum(heights) + 0.4), height_ratios=heights, squeeze=False, layout="constrained")
    draw_sizes(panels[0, 0], images)
    if count > 1:
        draw_overlap(panels[1, 0], images)
    return figure


def draw_sizes(axes, images):
    common, rest = images.common_bytes / MB, (images.union_bytes - images.common_bytes) / MB
    axes.barh(images.index, common, color=BLUE, label="read by every boot")
    axes.barh(images.index, rest, left=common, color=ORANGE, label="read by some boots")
    axes.scatter(images.zstd_bytes / MB, images.index, marker="D", s=30, color="white", edgecolor="black", label="all of it compressed (zstd -3)", zorder=3)
    for row, (_, m) in enumerate(images.iterrows()):
        axes.annotate(f"   {m.union_bytes / MB:.1f} MB, {100 * m.union_bytes / m.virtual_bytes:.1f} % of {m.virtual_bytes / 2**30:g} GiB",
                      (m.union_bytes / MB, row), va="center", fontsize=8)
    axes.set_xlim(0, 1.45 * images.union_bytes.max() / MB)
    axes.set_ylim(-0.6, len(images) - 0.4)
    axes.set_xlabel("boot working set [MB]", fontsize=9)
    axes.legend(fontsize=8, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncol=3)
    plain(axes)


def draw_overlap(axes, images):
    names = list(images.index)
    values = [[100 * shared(images, image, other) if image != other else float("nan") for other in names] for image in names]
    axes.imshow(values, cmap="Blues", vmin=0, vmax=100, aspect="auto", origin="lower")
    for row, shares in enumerate(values):
        for column, share in enumerate(shares):
            if row != column:
                axes.annotate(f"{share:.1f} %", (column, row), ha="center", va="center", fontsize=8, color="white" if share > 60 else "black")
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("... that boots of this image read too", fontsize=9)
    axes.set_ylabel("of this image's blocks ...", fontsize=9)
    axes.set_title("Share of blocks of 4 KiB by content, each counted once, without zeros", fontsize=9)
    axes.tick_params(labelsize=8)
