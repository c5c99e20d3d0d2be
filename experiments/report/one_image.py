# SPDX-License-Identifier: Apache-2.0
"""The experiment one-image: time until the last VM is ready, against the number of nodes."""

import math
import textwrap

from matplotlib import pyplot

from .plot import BLUE, GREEN, GREY, ORANGE, RED, SKY, doubling, log_values, plain
from .table import grid

NAMES = {"plain": "plain qcow2 overlays", "full": "whole image sent first", "cold stock": "copy-on-read, cold cache",
         "cold": "our cold cache", "sent": "our cache, sent at launch", "held": "our cache, on the nodes already"}
LOOKS = {"plain": (RED, "o"), "full": (ORANGE, "s"), "cold stock": (GREY, "v"), "cold": (SKY, "^"), "sent": (BLUE, "D"), "held": (GREEN, "P")}


def medians(experiment):
    """last_ready_s by (rate, arm, nodes)."""
    return experiment.valid.groupby(["rate_mbit", "arm", "nodes"]).last_ready_s.median()


def reference(experiment, rate):
    """T1: one node that receives the cache over its link, beside the one that sends it. NaN when not measured."""
    v = experiment.valid
    return v[(v.rate_mbit == rate) & (v.arm == "sent") & (v.nodes == 2)].last_receiver_ready_s.median()


def text(experiment):
    a, seconds = experiment.attributes, medians(experiment)
    rates = sorted(experiment.results.rate_mbit.unique())
    parts = [textwrap.fill(
        f"One image ({a['trace']}: {a['trace_bytes'] / 1e6:.0f} MB read at boot, image file {a['image_bytes'] / 1e6:.0f} MB, cache file "
        f"{a['cache_bytes'] / 1e6:.0f} MB), one replayed VM a node; pauses of the recorded boot {a['think_s']:.1f} s times {a['think_factor']:g}. "
        f"Guests compute about {a['dilation']:g} times slower here than with KVM, so a link of R stands for one of {a['dilation']:g} R. Every VM "
        "proved by a checksum that it read the right bytes.", 120)]
    for rate in rates:
        parts.append(_table(experiment, rate, seconds))
        parts.append(textwrap.fill(_findings(experiment, rate, seconds), 120))
    if a.get("arms_left_out"):
        parts.append(f"Left out, since this vmilaunch or its QEMU cannot do them: {a['arms_left_out']}.")
    return "\n\n".join(parts)


def _table(experiment, rate, seconds):
    here = seconds[rate] if rate in seconds else seconds[:0]
    points = sorted(experiment.results.nodes.unique())
    rows = [(f"{rate} Mbit/s: last VM ready [s]", *map(str, points))]
    for arm in NAMES:
        if arm in here:
            rows.append((NAMES[arm], *(f"{here[arm][n]:.1f}" if n in here[arm] else "-" for n in points)))
    return "\n".join(grid(rows))


def _findings(experiment, rate, seconds):
    v = experiment.valid[experiment.valid.rate_mbit == rate]
    most = v[v.arm == "sent"].nodes.max()
    sent = v[(v.arm == "sent") & (v.nodes == most)]
    t1 = reference(experiment, rate)

    def at(arm, nodes):
        return seconds.get((rate, arm, nodes), math.nan)

    def ratio(what, over, under):
        return f"{what} {over / under:.2f}" if over == over and under == under else f"{what} not measured"
    return (f"At {most} nodes and {rate} Mbit/s (measured: {v.measured_mbit.median():.0f}), as ratios: "
            + "; ".join([ratio(f"cache sent, last VM over one receiving node ({t1:.1f} s)", at("sent", most), t1),
                         ratio("cache held, last VM over one node alike", at("held", most), at("held", 1)),
                         ratio("cache sent over one node that holds it", at("sent", most), at("held", 1)),
                         ratio("plain over cache sent", at("plain", most), at("sent", most)),
                         ratio("whole image over cache sent", at("full", most), at("sent", most))])
            + f". Sending took {sent.distribute_s.median():.1f} s"
            + _busy_meanwhile(sent) + "."
            + _missed(v[v.arm.isin(["sent", "held"]) & (v.missed_bytes >= 0)]))


def _busy_meanwhile(sent):
    """Nothing where it was not measured, or was over too soon to be."""
    share = sent.sending_cpu_share.median() if "sending_cpu_share" in sent else math.nan
    return f", and {share:.0%} of the processors' time meanwhile" if share == share else ""


def _missed(warm):
    """What the driver counted; stock QEMU counts nothing."""
    if warm.empty:
        return ""
    return f" VMs with a warm cache read {warm.missed_bytes.max()} bytes of the base, by the driver's count, in any launch."


def draw(experiment):
    rates = sorted(experiment.results.rate_mbit.unique())
    figure, panels = pyplot.subplots(1, len(rates), figsize=(max(7.5, 5.2 * len(rates)), 5.4), squeeze=False, sharey=True, layout="constrained")
    for axes, rate in zip(panels[0], rates):
        _panel(axes, experiment, rate)
    panels[0][0].set_ylabel("launch until the last VM is ready [s]")
    handles = {label: handle for axes in panels[0] for handle, label in zip(*axes.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="upper center", ncol=2, fontsize=8, frameon=False)
    figure.get_layout_engine().set(rect=(0, 0, 1, 0.82))
    a = experiment.attributes
    figure.supxlabel(
        f"Replayed boots of '{a['trace']}' ({a['trace_bytes'] / 1e6:.0f} MB, pauses {a['think_s']:.1f} s x {a['think_factor']:g}); "
        f"dilation {a['dilation']:g}: a link of R stands for {a['dilation']:g} R.\nMedian, least and most of the runs.", fontsize=7)
    return figure


def _panel(axes, experiment, rate):
    a = experiment.attributes
    here = experiment.valid[experiment.valid.rate_mbit == rate]
    for arm, name in NAMES.items():
        runs = here[here.arm == arm].groupby("nodes").last_ready_s
        if not len(runs):
            continue
        median, (colour, marker) = runs.median(), LOOKS[arm]
        axes.errorbar(median.index, median, yerr=[median - runs.min(), runs.max() - median], color=colour, marker=marker, markersize=5,
                      linewidth=1.5, capsize=2, label=name)
    points = sorted(experiment.results.nodes.unique())
    limit = [8e-6 * a["trace_bytes"] * n / here.measured_mbit.median() for n in points]
    axes.plot(points, limit, color="black", linestyle=":", linewidth=1, label="every boot's bytes over the storage node's link")
    axes.axhline(a["think_s"] * a["think_factor"], color="black", linestyle="--", linewidth=1, label="a boot's recorded pauses alone")
    doubling(axes, points)
    log_values(axes)
    axes.set_ylim(bottom=0.5 * min(a["think_s"] * a["think_factor"], here.last_ready_s.min()))
    axes.set_title(f"links of {rate} Mbit/s", fontsize=10)
    axes.set_xlabel("nodes, one VM each", fontsize=9)
    axes.grid(axis="y", alpha=0.3)
    plain(axes)
