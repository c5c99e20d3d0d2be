# SPDX-License-Identifier: Apache-2.0
"""One launch over time: its phases, and every VM's life (a Gantt chart)."""

from .plot import BLUE, GREY, LIGHT_GREEN, ORANGE, RED, SKY, plain
from .summary import is_ready

# (from, colour, legend) of the parts of a VM's bar; each lasts until the next thing that is known to have happened.
STAGES = [
    ("t_prepare", SKY, "preparing"),
    ("t_spawn", ORANGE, "QEMU there, paused"),
    ("t_running", BLUE, "running, booting"),
    ("t_ready", LIGHT_GREEN, "ready, until stopped"),
]
MOST_VM_LABELS = 24
MOST_NODE_LABELS = 64


def shown_end(record):
    """Where the time axis ends: soon after the last VM got ready or failed, lest a long hold flattens the rest."""
    vms, phases = record.vms, record.phases
    last = vms.t_ready.max()
    failed = vms[~is_ready(vms)]
    last = max(x for x in (last, failed.t_stopped.max(), failed.t_running.max(), vms.t_spawn.max(), 0.0) if x == x)
    if record.may_run and len(failed):
        last = max(last, record.seconds_so_far or 0)
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
        unfinished = "still running" if record.may_run else "unfinished"
        took = f"{phase.t_end - phase.t_begin:.2f} s" if phase.t_end == phase.t_end else unfinished
        inside = until - phase.t_begin > 0.3 * axis_end
        at = (phase.t_begin + until) / 2 if inside else min(until, end)
        axes.annotate(took, (at, row), xytext=(0 if inside else 3, 0), textcoords="offset points", va="center",
                      ha="center" if inside else "left", fontsize=7, color="white" if inside else "black")
    axes.set_yticks(range(len(phases)), [phase.name for phase in phases], fontsize=8)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_ylabel("phases", fontsize=9)
    plain(axes)


def draw_vms(axes, record, rows):
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
    label_vms(axes, vms, rows)
    plain(axes)


def bars(vm, end):
    """(begin, end, colour) of what is known of a VM's life, in order; what had no end that is known lasts to `end`."""
    known = [(getattr(vm, stage), colour) for stage, colour, _ in STAGES if getattr(vm, stage) == getattr(vm, stage)]
    ends = [begin for begin, _ in known[1:]] + [vm.t_stopped if vm.t_stopped == vm.t_stopped else end]
    return [(begin, max(begin, min(until, end)), colour) for (begin, colour), until in zip(known, ends) if begin < end]


def label_vms(axes, vms, rows):
    """VM names while they can be read, node names beyond; a line between nodes in any case."""
    axes.set_ylim(rows - 0.4, -0.6)
    first_rows = vms.groupby("node").apply(lambda those: those.index[0]) if len(vms) else {}
    for row in list(first_rows)[1:]:
        axes.axhline(row - 0.5, color="black", linewidth=0.5, zorder=1)
    if len(vms) <= MOST_VM_LABELS:
        axes.set_yticks(range(len(vms)), [f"{vm.name} @ {vm.node}" for vm in vms.itertuples()], fontsize=7)
        axes.set_ylabel("VM @ node", fontsize=9)
    else:
        middles = vms.groupby("node").apply(lambda those: those.index.values.mean())
        middles = middles.iloc[::1 + len(middles) // MOST_NODE_LABELS]
        axes.set_yticks(list(middles), [f"node {node}" for node in middles.index], fontsize=7)
        axes.set_ylabel(f"{len(vms)} VMs by node", fontsize=9)
