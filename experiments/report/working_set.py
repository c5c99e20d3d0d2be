# SPDX-License-Identifier: Apache-2.0
"""The experiment working-set: what boots read, and how much of it every boot reads."""

import textwrap

from matplotlib import pyplot

from .plot import BLUE, ORANGE, plain
from .table import grid

MB = 1e6


def text(experiment):
    rows = [("image", "virtual [MB]", "read in a boot [MB]", "of it once [MB]", "requests", "in every boot [MB]", "in any boot [MB]", "same", "of the image")]
    for image, frame in experiment.results.groupby("image"):
        m = frame.median(numeric_only=True)
        rows.append((image, f"{m.virtual_bytes / MB:.0f}", f"{m.read_bytes / MB:.1f}", f"{m.unique_bytes / MB:.1f}", f"{m.requests:.0f}",
                     f"{m.common_bytes / MB:.1f}", f"{m.union_bytes / MB:.1f}", f"{100 * m.common_bytes / m.union_bytes:.2f} %",
                     f"{100 * m.union_bytes / m.virtual_bytes:.1f} %"))
    boots = int(experiment.results.boot.max()) + 1
    intro = (f"What images read from power-on until some seconds after they are ready, in {boots} boots each, real guests under emulation, in blocks of "
             "4 KiB. 'Same': the share of all blocks that any boot read which every boot read.")
    return textwrap.fill(intro, 120) + "\n\n" + "\n".join(grid(rows))


def draw(experiment):
    medians = experiment.results.groupby("image").median(numeric_only=True).sort_values("union_bytes")
    figure, axes = pyplot.subplots(figsize=(7, 1.6 + 0.6 * len(medians)), layout="constrained")
    common, rest = medians.common_bytes / MB, (medians.union_bytes - medians.common_bytes) / MB
    axes.barh(medians.index, common, color=BLUE, label="read by every boot")
    axes.barh(medians.index, rest, left=common, color=ORANGE, label="read by some boots")
    for row, (_, m) in enumerate(medians.iterrows()):
        axes.annotate(f" {m.union_bytes / MB:.1f} MB, {100 * m.union_bytes / m.virtual_bytes:.1f} % of {m.virtual_bytes / 2**30:.0f} GiB",
                      (m.union_bytes / MB, row), va="center", fontsize=8)
    axes.set_xlim(0, 1.45 * medians.union_bytes.max() / MB)
    axes.set_ylim(-0.6, len(medians) - 0.4)
    axes.set_xlabel("boot working set [MB]")
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    plain(axes)
    return figure
