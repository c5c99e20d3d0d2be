# SPDX-License-Identifier: Apache-2.0
"""The plot of one to four launches. Above: how many VMs were ready when, and what was read of the base image, of all launches in
one panel each. Below, a column for each launch: its phases and every VM's life."""

import textwrap

from matplotlib import pyplot
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from .errors import USAGE, ReportError
from .gantt import STAGES, draw_phases, draw_vms, shown_end, shown_phases
from .plot import GREEN, GREY, RED, plain, save
from .record import labels
from .summary import is_ready, summarise
from .table import counted, may_run, size

MOST_RUNS = 4
# (colour, line) of each launch; the first is what the others are compared with.
LOOKS = [(GREY, "-"), (GREEN, "-"), ("#CC79A7", "--"), ("black", ":")]
MOST_REASONS = 2
REASON_CHARACTERS = 240


def plot(records, path):
    if len(records) > MOST_RUNS:
        raise ReportError(USAGE, f"a plot shows up to {MOST_RUNS} records, not {len(records)}; plot fewer at once")
    save(draw(records), path)


def draw(records):
    runs, names = [summarise(record) for record in records], labels(records)
    looks = LOOKS[1:2] if len(records) == 1 else LOOKS
    most_vms = max(len(record.vms) for record in records)
    most_phases = max(len(shown_phases(record)) for record in records)
    width = max(10.0, 5.0 * len(records))
    heights = [2.9, 0.2 * most_phases + 0.3, min(max(0.2 * most_vms, 1.2), 6.0)]
    head = _head(runs, names, int(12 * width))
    head_inches, legend_inches = 0.12 + sum(inches for _, inches, _ in head), 0.35
    figure = pyplot.figure(figsize=(width, sum(heights) + 1.6 + head_inches + legend_inches), layout="constrained")
    high = figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, legend_inches / high, 1, 1 - (legend_inches + head_inches) / high), h_pad=0.06)
    top, bottom = figure.add_gridspec(2, 1, height_ratios=[heights[0], sum(heights[1:])])
    curves, bars = top.subgridspec(1, 2, width_ratios=[1.7, 1]).subplots()
    begin, end = 0, max(shown_end(record) for record in records)
    _draw_curves(curves, records, runs, names, looks, begin, end)
    _draw_bytes(bars, runs, looks)
    lives = bottom.subgridspec(2, len(records), height_ratios=heights[1:]).subplots(sharex=True, squeeze=False)
    for i, record in enumerate(records):
        phases, vms = lives[:, i]
        phases.set_title(_title(record, names[i]), fontsize=9)
        draw_phases(phases, record, most_phases, end)
        draw_vms(vms, record, most_vms)
        vms.set_xlim(begin, end)
        vms.set_xlabel("time since the launch's start [s]", fontsize=8)
    figure.legend(handles=_legend(records), loc="lower center", ncol=len(STAGES) + 1, fontsize=8, frameon=False)
    _write_head(figure, head)
    return figure


def _head(runs, names, columns):
    """[(text, inches, style)] above the panels: what the picture shows, and why launches failed."""
    lines = [(line, 0.24, {"fontsize": 11, "weight": "bold"}) for line in textwrap.wrap(_claim(runs, names), int(0.9 * columns))]
    for run, name in zip(runs, names):
        reasons = _reasons(run)
        for i, reason in enumerate(reasons):
            lines += [(line, 0.17, {"fontsize": 9, "color": RED})
                      for line in textwrap.wrap(f"{name} {_ending(run)}: {reason}" if i == 0 else reason, columns,
                                                initial_indent="" if i == 0 else "    ", subsequent_indent="    ")]
    return lines


def _write_head(figure, head):
    y = figure.get_figheight() - 0.08
    for text, inches, style in head:
        figure.text(0.12 / figure.get_figwidth(), y / figure.get_figheight(), text, va="top", **style)
        y -= inches


def _claim(runs, names):
    """One sentence: when the last VM was ready, and of two launches that differ only in time how much of the base was read."""
    whole = all(run["vms"]["ready"] == run["vms"]["total"] > 0 for run in runs)
    if len(runs) != 2 or not whole or runs[0]["vms"]["total"] != runs[1]["vms"]["total"]:
        return "; ".join(f"{name}: {_ready_text(run)}" for run, name in zip(runs, names))
    first, second = (run["time_to_ready"]["max"] for run in runs)
    claim = f"{counted(runs[0]['vms']['total'], 'VM')} ready after {second:.1f} s instead of {first:.1f} s"
    read = [run["cache"]["bytes_miss"] for run in runs]
    if None not in read:
        claim += f"; {size(read[1])} read from the base image instead of {size(read[0])}"
    return claim


def _ready_text(run):
    text = f"{run['vms']['ready']} of {counted(run['vms']['total'], 'VM')} ready"
    last = run["time_to_ready"]["max"]
    return text if last is None else f"{text}, the last after {last:.1f} s"


def _ending(run):
    if may_run(run):
        return "so far"
    return "was killed" if run["state"] == "killed" else f"ended with status {run['attributes'].get('exit_status')}"


def _reasons(run):
    """Why a launch did not end well: its first error, and the first of its VMs'."""
    if run["state"] == "ended" and run["attributes"].get("outcome") == "ready":
        return []
    errors = [f"{error['source']}: {error['text']}" if error["source"] else error["text"] for error in run["errors"]][:1]
    vms = [f"{vm['name']}: {vm['error']}" for vm in run["failures"] if vm["error"]][:1]
    if errors and vms and run["failures"][0]["error"].split("\n")[0] in errors[0]:
        vms = []  # said already
    reasons = errors + vms or [run["attributes"].get("error")]
    if run["state"] == "killed" and not any(reasons):
        return ["its record does not say why"]
    return [textwrap.shorten(reason, REASON_CHARACTERS, placeholder=" ...") for reason in reasons if reason][:MOST_REASONS]


def _title(record, name):
    facts = [counted(len(record.vms), "VM"), counted(len(record.nodes), "node"), record.attributes.get("accel")]
    state = {"ended": "", "killed": "  (killed)", "running": "  (still running)", "unknown": "  (running or killed)"}[record.state]
    return f"{name}: " + ", ".join(fact for fact in facts if fact) + state


def _draw_curves(axes, records, runs, names, looks, begin, end):
    for record, run, name, (colour, line) in zip(records, runs, names, looks):
        times = record.vms.t_ready[is_ready(record.vms)].sort_values()
        failed = run["state"] == "ended" and bool(_reasons(run))
        until = min(run["seconds_so_far"] or (failed and run["attributes"].get("t_end")) or end, end)
        axes.step([0, *times, max(until, *times, 0)], [0, *range(1, len(times) + 1), len(times)], where="post", color=colour,
                  linestyle=line, linewidth=2.2, label=f"{name} (cache: {run['attributes'].get('cache_mode') or '?'}): {_ready_text(run)}")
        if len(times):
            axes.plot(times.iloc[-1], len(times), marker="o", markersize=6, color=colour, zorder=5)
        if failed:
            axes.plot(until, len(times), marker="X", markersize=9, color=RED, markeredgecolor="black",
                      markeredgewidth=0.5, zorder=6, clip_on=False)
    most = max(max(len(record.vms) for record in records), 1)
    axes.set_xlim(begin, end)
    axes.set_ylim(0, 1.08 * most)
    if any(run["vms"]["ready"] < run["vms"]["total"] for run in runs):
        axes.axhline(most, color="black", linewidth=0.8, linestyle=":")
        axes.annotate(f" {counted(most, 'VM')} asked for", (begin, most), ha="left", va="bottom", fontsize=7)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_ylabel("VMs ready", fontsize=9)
    axes.set_xlabel("time since the launch's start [s]", fontsize=8)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8.5, loc="lower left", bbox_to_anchor=(-0.01, 1.0), frameon=False)
    plain(axes)


def _draw_bytes(axes, runs, looks):
    """Bars, a group for each kind of byte: what the VMs read, and what the cache cost the network."""
    kinds = [("read from\nthe base image", lambda run: run["cache"]["bytes_miss"]),
             ("cache sent\nto the nodes", lambda run: run["distribution"]["wire_bytes"] or 0),
             ("read from\nboot caches", lambda run: run["cache"]["bytes_hit"])]
    rows, labels_at = [], []
    for kind, (title, value_of) in enumerate(kinds):
        first = kind * (len(runs) + 0.8)
        rows += [(first + i, value_of(run), looks[i][0], may_run(run)) for i, run in enumerate(runs)]
        labels_at.append((first + (len(runs) - 1) / 2, title))
    unit, name = _axis_unit(max([value for _, value, *_ in rows if value] or [1]))
    for y, value, colour, running in rows:
        axes.barh(y, (value or 0) / unit, height=0.85, color=colour)
        axes.annotate("not counted" + (" yet" if running else "") if value is None else size(value), ((value or 0) / unit, y), xytext=(4, 0), textcoords="offset points",
                      va="center", fontsize=8, color=GREY if value is None else "black")
    axes.set_yticks([y for y, _ in labels_at], [title for _, title in labels_at])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * max(axes.get_xlim()[1], 1 / unit))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.set_xlabel(f"all VMs together [{name}]", fontsize=8)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    plain(axes)
    if any(run["cache"]["bytes_miss"] is None and not may_run(run) for run in runs):
        axes.set_xlabel(f"all VMs together [{name}]; only the driver 'vmicache' counts reads", fontsize=8)


def _axis_unit(most):
    """The bytes and the name of the unit in which an axis up to `most` has short numbers."""
    names = ("B", "KiB", "MiB", "GiB", "TiB")
    power = next((i for i in range(len(names)) if most < 1024 ** (i + 1)), len(names) - 1)
    return 1024**power, names[power]


def _legend(records):
    entries = [Patch(color=colour, label=name) for _, colour, name in STAGES]
    if any((record.vms.state == "failed").any() for record in records):
        entries.append(pyplot.Line2D([], [], marker="X", color=RED, markeredgecolor="black", linestyle="", label="failed"))
    return entries
