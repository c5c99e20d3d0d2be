# SPDX-License-Identifier: Apache-2.0
"""The plot of one to four launches, a column each on a common time axis: the launch's phases, every VM's life (a Gantt
chart), and how many VMs were ready when."""

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.patches import Patch  # noqa: E402
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator  # noqa: E402

from .errors import ENVIRONMENT, USAGE, ReportError, reason_of  # noqa: E402
from .record import labels  # noqa: E402
from .summary import is_ready  # noqa: E402
from .table import counted  # noqa: E402

MOST_RUNS = 4

# Okabe and Ito's palette: told apart with any colour vision, and by lightness in print.
SKY, ORANGE, BLUE, GREEN, RED = "#56B4E9", "#E69F00", "#0072B2", "#009E73", "#D55E00"
LIGHT_GREEN, GREY = "#A3DCC9", "#6E6E6E"

# (from, colour, legend) of the parts of a VM's bar; each lasts until the next thing that is known to have happened.
STAGES = [
    ("t_prepare", SKY, "preparing"),
    ("t_spawn", ORANGE, "QEMU started, paused"),
    ("t_running", BLUE, "running, booting"),
    ("t_ready", LIGHT_GREEN, "ready, until stopped"),
]
LEGEND_INCHES = 0.4
MOST_VM_LABELS = 24
MOST_NODE_LABELS = 64


def doubling(axes, points):
    """The x axis of a quantity that was doubled from point to point."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(points, [str(n) for n in points])


def log_values(axes):
    """A logarithmic y axis whose labels are plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def plot(records, path):
    if len(records) > MOST_RUNS:
        raise ReportError(USAGE, f"a plot shows up to {MOST_RUNS} records, not {len(records)}; plot fewer at once")
    save(draw(records), path)


def save(figure, path):
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise ReportError(ENVIRONMENT, f"cannot write plot '{path}': {reason_of(error)}") from error
    finally:
        pyplot.close(figure)


def draw(records):
    most_vms = max(len(record.vms) for record in records)
    most_phases = max(len(shown_phases(record)) for record in records)
    heights = [0.2 * most_phases + 0.3, min(max(0.2 * most_vms, 1.6), 8.0), 2.2]
    width = 9.0 if len(records) == 1 else 6.2 * len(records)
    figure, axes = pyplot.subplots(
        3, len(records), figsize=(width, sum(heights) + 1.7), sharex=True, squeeze=False, layout="constrained",
        gridspec_kw={"height_ratios": heights})
    end = max(shown_end(record) for record in records)
    names = labels(records)
    for i, record in enumerate(records):
        phases, vms, ready = axes[:, i]
        phases.set_title(title(record, names[i]), fontsize=10)
        draw_phases(phases, record, most_phases, end)
        draw_vms(vms, record)
        draw_ready(ready, records, i, names)
        for axes_of_run in (phases, vms, ready):
            draw_bands(axes_of_run, record)
        ready.set_xlim(min(shown_begin(each) for each in records), end)
        ready.set_ylim(0, 1.12 * max(most_vms, 1))
        ready.set_xlabel("time since the launch's start [s]")
    share = LEGEND_INCHES / figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, share, 1, 1 - share))
    figure.legend(handles=legend(records), loc="lower center", ncol=len(STAGES) + 1, fontsize=8, frameon=False)
    return figure


def title(record, name):
    a = record.attributes
    facts = [f"cache: {a.get('cache_mode') or '?'}", counted(len(record.vms), "VM"), counted(len(record.nodes), "node"),
             a.get("accel")]
    return f"{name}\n" + ", ".join(fact for fact in facts if fact) + ("" if record.complete else "  (INCOMPLETE)")


def shown_begin(record):
    """VMs that were created while MPI started have times before the launch's zero."""
    begin = record.vms.t_prepare.min()
    return 1.04 * begin if begin < 0 else 0


def shown_end(record):
    """Where the time axis ends: soon after the last VM got ready or failed, lest a long hold flattens the rest."""
    vms, phases = record.vms, record.phases
    last = vms.t_ready.max()
    failed = vms[~is_ready(vms)]
    last = max(x for x in (last, failed.t_stopped.max(), failed.t_running.max(), vms.t_spawn.max(), 0.0) if x == x)
    launch = max(x for x in (phases.t_end.max(), phases.t_begin.max(), last) if x == x)
    return max(1.04 * (launch if launch <= 1.25 * last or last == 0 else 1.1 * last), 0.1)


def shown_phases(record):
    end = shown_end(record)
    return [phase for phase in record.phases.sort_values("t_begin", kind="stable").itertuples() if phase.t_begin < end]


def draw_phases(axes, record, rows, axis_end):
    """One row per phase, so that phases which overlap are all seen."""
    phases, end = shown_phases(record), shown_end(record)
    for row, phase in enumerate(phases):
        until = phase.t_end if phase.t_end == phase.t_end else end
        axes.barh(row, until - phase.t_begin, left=phase.t_begin, height=0.7, color=GREY,
                  hatch=None if phase.t_end == phase.t_end else "///", alpha=0.85)
        took = f"{phase.t_end - phase.t_begin:.2f} s" if phase.t_end == phase.t_end else "unfinished"
        inside = until - phase.t_begin > 0.3 * axis_end
        at = (phase.t_begin + until) / 2 if inside else min(until, end)
        axes.annotate(took, (at, row), xytext=(0 if inside else 3, 0), textcoords="offset points", va="center",
                      ha="center" if inside else "left", fontsize=7, color="white" if inside else "black")
    axes.set_yticks(range(len(phases)), [phase.name for phase in phases], fontsize=8)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_ylabel("phases", fontsize=9)
    plain(axes)


def draw_bands(axes, record):
    """The launch's phases as bands behind everything: each from its beginning to that of the next."""
    phases = shown_phases(record)
    for i, phase in enumerate(phases):
        until = phases[i + 1].t_begin if i + 1 < len(phases) else phase.t_end
        if i % 2 == 0 and until == until:
            axes.axvspan(phase.t_begin, until, color="black", alpha=0.06, linewidth=0, zorder=0)


def draw_vms(axes, record):
    end = shown_end(record)
    vms = record.vms.sort_values(["node", "t_ready"], kind="stable").reset_index(drop=True)
    height = 0.8 if len(vms) <= 150 else 1.0  # gaps of less than a pixel would only flicker
    for row, vm in enumerate(vms.itertuples()):
        parts = bars(vm, end)
        axes.broken_barh([(begin, until - begin) for begin, until, _ in parts], (row - height / 2, height),
                         facecolors=[colour for *_, colour in parts], linewidth=0, zorder=2)
    failed = vms[vms.state == "failed"]
    at = [bars(vm, end)[-1][1] if bars(vm, end) else 0 for vm in failed.itertuples()]
    axes.scatter(at, failed.index, marker="X", s=34, color=RED, edgecolor="black", linewidth=0.5, zorder=4,
                 clip_on=False)
    label_vms(axes, vms)
    plain(axes)


def bars(vm, end):
    """(begin, end, colour) of what is known of a VM's life, in order; what had no end that is known lasts to `end`."""
    known = [(getattr(vm, stage), colour) for stage, colour, _ in STAGES if getattr(vm, stage) == getattr(vm, stage)]
    ends = [begin for begin, _ in known[1:]] + [vm.t_stopped if vm.t_stopped == vm.t_stopped else end]
    return [(begin, max(begin, min(until, end)), colour) for (begin, colour), until in zip(known, ends) if begin < end]


def label_vms(axes, vms):
    """VM names while they can be read, node names beyond; a line between nodes in any case."""
    axes.set_ylim(len(vms) - 0.4, -0.6)
    first_rows = vms.groupby("node").apply(lambda rows: rows.index[0]) if len(vms) else {}
    for row in list(first_rows)[1:]:
        axes.axhline(row - 0.5, color="black", linewidth=0.5, zorder=1)
    if len(vms) <= MOST_VM_LABELS:
        axes.set_yticks(range(len(vms)), [f"{vm.name} @ {vm.node}" for vm in vms.itertuples()], fontsize=7)
        axes.set_ylabel("VM @ node", fontsize=9)
    else:
        middles = vms.groupby("node").apply(lambda rows: rows.index.values.mean())
        middles = middles.iloc[::1 + len(middles) // MOST_NODE_LABELS]
        axes.set_yticks(list(middles), [f"node {node}" for node in middles.index], fontsize=7)
        axes.set_ylabel(f"{len(vms)} VMs by node", fontsize=9)


def draw_ready(axes, records, index, names):
    """How many VMs are ready over time; the other runs in grey, to compare with."""
    for i, record in enumerate(records):
        times = record.vms.t_ready[is_ready(record.vms)].sort_values()
        own = i == index
        style = {"color": GREEN, "linewidth": 2, "zorder": 3} if own else {"color": GREY, "linewidth": 1, "ls": "--"}
        axes.step([0, *times, 1e9], [0, *range(1, len(times) + 1), len(times)], where="post", **style)
        if own:
            axes.annotate(ready_text(record, times), (0.015, 0.93), xycoords="axes fraction", va="top", fontsize=8,
                          zorder=5, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2})
        elif len(times):
            axes.annotate(names[i], (times.iloc[-1], len(times)), xytext=(0, 3), textcoords="offset points",
                          fontsize=7, color=GREY, ha="right")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.set_ylabel("VMs ready", fontsize=9)
    axes.grid(alpha=0.3)
    plain(axes)


def ready_text(record, times):
    text = f"{len(times)} of {counted(len(record.vms), 'VM')} ready"
    if len(times):
        text += f"\nfirst {times.iloc[0]:.2f} s\nmedian {times.median():.2f} s\nlast {times.iloc[-1]:.2f} s"
    return text


def plain(axes):
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def legend(records):
    entries = [Patch(color=colour, label=name) for _, colour, name in STAGES]
    if any((record.vms.state == "failed").any() for record in records):
        entries.append(pyplot.Line2D([], [], marker="X", color=RED, markeredgecolor="black", linestyle="",
                                     label="failed"))
    return entries
