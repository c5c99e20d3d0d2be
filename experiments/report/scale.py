# SPDX-License-Identifier: Apache-2.0
"""The experiment scale: simulated launches, and how far the simulation is off where it can be checked."""

import textwrap

from matplotlib import pyplot

from .plot import BLUE, GREEN, GREY, ORANGE, RED, SKY, plain
from .table import grid, size

STAGES = {"plan": (SKY, "o"), "offer": (ORANGE, "s"), "distribute": (BLUE, "D"), "prepare": (GREY, "v"), "end": (GREEN, "^")}
CHECKED = ("plan", "offer", "distribute", "end")
MOST_ERROR = 0.15  # that is wanted of the simulation


def checked(experiment):
    """(point, measured rows, the simulated row) wherever there are both."""
    v = experiment.valid
    for point, frame in v.groupby(["nodes", "rate_mbit", "size_bytes"]):
        measured, simulated = frame[frame.kind == "measured"], frame[frame.kind == "simulated box"]
        if len(measured) and len(simulated):
            yield point, measured, simulated.iloc[0]


def series(experiment):
    """Simulated rows by (size, rate, scheme), the larger caches first."""
    v = experiment.valid[experiment.valid.kind == "simulated"].sort_values("nodes")
    return sorted(v.groupby(["size_bytes", "rate_mbit", "scheme"]), key=lambda item: (-item[0][0], item[0][1], item[0][2]))


def error(simulated, measured, stage):
    """By how much the simulated stage is off the measured ones' median, as a share of it."""
    return float(simulated[f"{stage}_s"]) / measured[f"{stage}_s"].median() - 1


def check(experiment):
    """Every stage that ranks do together, measured and simulated, and what is further off than wanted."""
    rows = [("nodes", "link [Mbit/s]", "cache", *(f"{stage} [s]" for stage in CHECKED))]
    beyond = {stage: [] for stage in CHECKED}
    for (nodes, rate, cache), measured, simulated in checked(experiment):
        cells = []
        for stage in CHECKED:
            off = error(simulated, measured, stage)
            cells.append(f"{measured[f'{stage}_s'].median():.4f}, {simulated[f'{stage}_s']:.4f} ({100 * off:+.0f} %)")
            if abs(off) > MOST_ERROR:
                beyond[stage].append(nodes)
        rows.append((str(nodes), f"{rate:g}", size(cache), *cells))
    said = [f"{stage} on {', '.join(map(str, nodes))} nodes" for stage, nodes in beyond.items() if nodes]
    verdict = f"Beyond {MOST_ERROR:.0%}: {'; '.join(said)}." if said else f"Every stage is within {MOST_ERROR:.0%}."
    intro = ("The cluster in a box and the simulation with the same links: seconds measured (median), simulated, and how far that is off. plan, offer and end "
             "are small messages alone, for which all the box's nodes wait for their turn on its few processors; the simulation gives each node its own. "
             + verdict)
    return textwrap.fill(intro, 120) + "\n\n" + "\n".join(grid(rows)) if len(rows) > 1 else None


def text(experiment):
    a = experiment.attributes
    found = [("cache", "link [Mbit/s]", "scheme", "nodes", *(f"{stage} [s]" for stage in (*STAGES, "boot")), "total [s]", "distribute / limit")]
    for (cache, rate, _), frame in series(experiment):
        for row in frame.itertuples():
            found.append((size(cache), f"{rate:g}", row.used, str(row.nodes), *(f"{getattr(row, f'{stage}_s'):.3f}" for stage in (*STAGES, "boot")),
                          f"{row.total_s:.2f}", f"{row.distribute_s / row.limit_s:.2f}"))
    rows = experiment.valid[experiment.valid.kind == "simulated"]
    delays = "; ".join(f"{source}: boots {frame.boot_s.median():.2f} s" for source, frame in rows.groupby("delays_of"))
    said = (f"Simulated launches of one VM a node (SimGrid; links of {a['latency_us']:g} us and 94 % of their rate). What creating and "
            f"booting VMs takes is from {delays}. 'prepare' is what of creating VMs outlasts the distribution.")
    parts = [check(experiment), textwrap.fill(said, 120) + "\n\n" + "\n".join(grid(found))]
    return "\n\n".join(part for part in parts if part)


def draw(experiment):
    groups = series(experiment)
    figure, panels = pyplot.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    draw_check(experiment, panels[0])
    (cache, rate, _), frame = max((item for item in groups if item[0][2] == "automatic"), key=lambda item: len(item[1]))
    for stage, (colour, marker) in STAGES.items():
        panels[1].plot(frame.nodes, frame[f"{stage}_s"].clip(lower=1e-4), color=colour, marker=marker, label=stage)
    panels[1].axhline(frame.limit_s.iloc[0], color="black", linestyle="--", linewidth=1, label="cache / link rate")
    panels[1].set_title(f"stages, {size(cache)}, {rate:g} Mbit/s", fontsize=9)
    looks = iter([(BLUE, "D"), (SKY, "o"), (RED, "s"), (GREEN, "^"), (ORANGE, "v")])
    for (cache, rate, scheme), frame in groups:
        colour, marker = next(looks, (GREY, "x"))
        panels[2].plot(frame.nodes, frame.distribute_s / frame.limit_s, color=colour, marker=marker,
                       label=f"{size(cache)}, {rate:g} Mbit/s, {'chosen' if scheme == 'automatic' else scheme}")
    panels[2].axhline(1, color="black", linestyle="--", linewidth=1, label="cache / link rate")
    panels[2].set_title("distribution against the link's limit", fontsize=9)
    panels[2].set_ylabel("distribution / (cache / link rate)")
    points = sorted({nodes for _, frame in groups for nodes in frame.nodes})
    for axes in panels[1:]:
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(points, [f"{n:,}" for n in points], fontsize=8)
        axes.set_xlabel("simulated nodes")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        below(axes)
    panels[2].yaxis.set_minor_formatter(lambda value, _: f"{value:g}")  # within one power of ten
    panels[2].tick_params(axis="y", which="both", labelsize=8)
    panels[1].set_ylabel("seconds")
    return figure


def draw_check(experiment, axes):
    points = list(checked(experiment))
    for at, (_, measured, simulated) in enumerate(points):
        real = measured.distribute_s
        axes.errorbar([at], [real.median()], yerr=[[real.median() - real.min()], [real.max() - real.median()]], color=BLUE, marker="D", capsize=3,
                      label="measured in the box" if at == 0 else None)
        axes.plot([at + 0.2], [simulated.distribute_s], color=RED, marker="o", linestyle="", label="simulated" if at == 0 else None)
        axes.plot([at - 0.1, at + 0.3], [simulated.limit_s] * 2, color="black", linestyle="--", linewidth=1, label="cache / link rate" if at == 0 else None)
    axes.set_xticks(range(len(points)), [f"{nodes} nodes\n{rate:g} Mbit/s\n{size(cache)}" for (nodes, rate, cache), _, _ in points], fontsize=8)
    axes.set_xlim(-0.6, max(len(points), 1) - 0.2)
    axes.set_ylim(0, 1.15 * max([1e-9, *(max(measured.distribute_s.max(), simulated.distribute_s) for _, measured, simulated in points)]))
    axes.set_ylabel("distribution [s]")
    axes.set_title("the simulation against the cluster in a box", fontsize=9)
    below(axes)


def below(axes):
    axes.legend(fontsize=7, frameon=False, ncol=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    plain(axes)
