# SPDX-License-Identifier: Apache-2.0
"""Summaries as text for people: one run, or several side by side with ratios."""

NOTHING = "-"
MOST_FAILURES = 10
PAGE = 100  # columns


def seconds(value):
    return NOTHING if value is None else f"{value:.2f} s"


def elapsed(value):
    """Seconds while they say enough, then the two largest units of '3 d 4 h', '3 h 4 min', '3 min 4 s'."""
    for name, larger, smaller, unit in (("d", 86400, 3600, "h"), ("h", 3600, 60, "min"), ("min", 60, 1, "s")):
        if value >= 2 * larger:
            return f"{int(value // larger)} {name} {int(value % larger // smaller)} {unit}"
    return f"{value:.1f} s"


def size(value):
    if value is None:
        return NOTHING
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024


def count(value):
    return NOTHING if value is None else str(value)


def counted(number, thing):
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def percent(value):
    return NOTHING if value is None else f"{100 * value:.2f} %"


def grid(rows, left=1, indent="  "):
    """Rows of texts in aligned columns; the first `left` are left-aligned, the others right-aligned."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [indent + "  ".join(cell.ljust(width) if i < left else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
            for row in rows]


def run_table(run, verbose=False, vms=None):
    """The report of one run, as a text. `vms`: its table of VMs, listed when verbose."""
    parts = [_heading(run), _phases(run), _readiness(run), _nodes(run), _cache(run), _failures(run, verbose)]
    if verbose:
        parts += [_every_vm(vms), _attributes(run)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def brief(run):
    """What a run was and what failed in it; comparison() has the rest."""
    return "\n".join(_heading(run) + _failures(run))


def _heading(run):
    a = run["attributes"]
    lines = [f"{run['file']}: " + ", ".join(str(x) for x in (
        f"vmilaunch {a.get('program_version') or '?'}", a.get("start") or "start not known",
        f"job {a['job_id']}" if a.get("job_id") else None) if x)]
    vms = run["vms"]
    how = [f"cache {a.get('cache_mode') or '?'}", a.get("placement") and f"placement {a['placement']}", a.get("accel"),
           a.get("driver") and f"driver {a['driver']}", a.get("backend")]
    ranks = " by " + counted(a["ranks"], "rank") if a.get("ranks") else ""
    asked = counted(a.get("vms") or vms["total"], "VM")
    lines.append(f"  {vms['ready']} of {asked} ready on {counted(len(run['nodes']), 'node')}{ranks}; "
                 + ", ".join(x for x in how if x))
    if may_run(run):
        lines.append("  VMs now: " + (", ".join(f"{n} {state}" for state, n in vms["states"].items()) or "none yet"))
    else:
        status = a.get("exit_status")
        outcome = f"outcome: {a.get('outcome') or '?'}" + (f", exit status {status}" if status is not None else "")
        lines.append("  " + outcome + (f": {a['error']}" if a.get("error") else ""))
    lines += _state(run)
    if run["journal_lines_lost"]:
        lines.append(f"  DAMAGED: {run['journal_lines_lost']} lines of the journal could not be read")
    return lines


def may_run(run):
    return run["state"] in ("running", "unknown")


def _state(run):
    since = "" if run["seconds_so_far"] is None else f", {elapsed(run['seconds_so_far'])} since its start"
    if run["state"] == "running":
        return [f"  STILL RUNNING{since}: this is what it has done so far"]
    if run["state"] == "unknown":
        return [f"  STILL RUNNING on {run['host']}{since}, or killed there, which this machine cannot tell;",
                f"  this is what it had done at its last event, {elapsed(run['seconds_since_event'])} ago"]
    if run["state"] == "killed":
        remedy = f"; 'vmireport --recover {run['journal']}' makes its record" if run["journal"] else ""
        return ["  INCOMPLETE: the launch was killed; this is what its journal knew" + remedy]
    return []


def _phases(run):
    rows = [(p["name"], seconds(p["begin"]), seconds(p["end"]), _phase_time(run, p)) for p in run["phases"]]
    return grid([("phase", "begin", "end", "time")] + rows) if rows else []


def _phase_time(run, phase):
    if phase["end"] is not None:
        return seconds(phase["seconds"])
    if run["state"] != "running" or run["seconds_so_far"] is None or phase["begin"] is None:
        return "unfinished"
    return f"{elapsed(max(run['seconds_so_far'] - phase['begin'], 0))} so far"


def _spread_row(name, values, form):
    return (name, str(values["count"]), form(values["min"]), form(values["median"]), form(values["max"]))


def _readiness(run):
    return grid([("", "VMs", "min", "median", "max"),
                 _spread_row("ready, since the launch's start", run["time_to_ready"], seconds),
                 _spread_row("ready, since the VM runs", run["boot_time"], seconds),
                 _spread_row("CPU time of QEMU", run["cpu"], seconds),
                 _spread_row("resident memory of QEMU", run["rss_bytes"], size)])


def _nodes(run):
    rows = [("node", "host", "cache", "VMs", "ready", "min", "median", "max", "received", "on the wire", "in")]
    for n in run["nodes"]:
        t = n["time_to_ready"]
        rows.append((count(n["node"]), n["hostname"] or "?", n["cache_source"] or NOTHING,
                     str(n["vms"]), str(n["ready"]), seconds(t["min"]), seconds(t["median"]), seconds(t["max"]),
                     size(n["payload_bytes"]), size(n["wire_bytes"]), seconds(n["cache_seconds"])))
    return grid(rows, left=3) if len(rows) > 1 else []


def _cache(run):
    c = run["cache"]
    if c["counted"] == 0:
        return ["  cache hits and misses: not known" + (" before the VMs stop" if may_run(run) else "")]
    return [f"  cache: {size(c['bytes_hit'])} hit ({count(c['hits'])} reads), {size(c['bytes_miss'])} missed "
            f"({count(c['misses'])} reads), {size(c['bytes_filled'])} filled; {percent(c['hit_ratio'])} of the bytes "
            f"hit, over {counted(c['counted'], 'VM')}"]


def _failures(run, verbose=False):
    failures = run["failures"] if verbose else run["failures"][:MOST_FAILURES]
    rows = [(f["name"] or "?", f["state"] or "?", "node " + count(f["node"]), _one_line(f["error"] or _no_error(f)))
            for f in failures]
    lines = ["  not ready:"] + grid(rows, left=4, indent="    ") if rows else []
    if len(failures) < len(run["failures"]):
        lines.append(f"    and {len(run['failures']) - len(failures)} more, which -v lists")
    for error in run["errors"]:
        lines.append(f"  error at {seconds(error['t'])}, {error['source'] or '?'}: {_one_line(error['text'])}")
    return lines


def _no_error(failure):
    return "the launch stopped it before it was ready" if failure["state"] == "stopped" else None


def _one_line(text):
    """Control characters, as of a guest's console, must not reach a terminal."""
    return "".join(c if c.isprintable() else " " for c in text or "no reason known")


def _every_vm(vms):
    rows = [("VM", "image", "state", "node", "prepare", "spawn", "running", "ready", "stopped")]
    for vm in vms.itertuples():
        times = (vm.t_prepare, vm.t_spawn, vm.t_running, vm.t_ready, vm.t_stopped)
        rows.append((vm.name, vm.image.rsplit("/", 1)[-1], vm.state, str(vm.node),
                     *(NOTHING if t != t else f"{t:.2f} s" for t in times)))
    return grid(rows, left=3)


def _attributes(run):
    return grid([(name, count(value)) for name, value in run["attributes"].items()], left=2)


def comparison(runs, names):
    """Several runs side by side; each but the first with its ratio to the first. What is too wide for PAGE columns has letters
    for names, and as many tables as it takes, each with the first run."""
    metrics = [(title, [value_of(run) for run in runs], form) for title, value_of, form in _METRICS + _phase_metrics(runs)]
    metrics = [metric for metric in metrics if any(value is not None for value in metric[1])]
    whole = _side_by_side(metrics, names, range(1, len(runs)))
    if _width(whole) <= PAGE:
        return "\n".join(whole)

    letters = [_letters(i) for i in range(len(runs))]
    tables, others = [], list(range(1, len(runs)))
    while others:
        fit = next((n for n in range(len(others), 1, -1) if _width(_side_by_side(metrics, letters, others[:n])) <= PAGE), 1)
        tables.append(_side_by_side(metrics, letters, others[:fit]))
        others = others[fit:]
    return "\n\n".join("\n".join(lines) for lines in [grid(list(zip(letters, names)), left=2, indent=""), *tables])


def _side_by_side(metrics, names, others):
    rows = [("", names[0], *(cell for i in others for cell in (names[i], "ratio")))]
    for title, values, form in metrics:
        rows.append((title, form(values[0]), *(cell for i in others for cell in (form(values[i]), ratio(values[i], values[0])))))
    return grid(rows, indent="")


def _width(lines):
    return max(map(len, lines))


def _letters(i):
    """A, B, ... Z, AA, AB, ..."""
    return (_letters(i // 26 - 1) if i >= 26 else "") + chr(ord("A") + i % 26)


def ratio(value, reference):
    """'0.43x'; a dash where it would mean nothing."""
    if value is None or not reference or isinstance(value, str):
        return NOTHING
    quotient = value / reference
    return "<0.001x" if 0 < quotient < 0.001 else f"{round(quotient, 3):.3g}x"


def _phase_metrics(runs):
    names = dict.fromkeys(p["name"] for run in runs for p in run["phases"])
    return [(f"phase {name}", lambda run, name=name: phase_seconds(run, name), seconds) for name in names]


def phase_seconds(run, name):
    """The time spent in all phases of that name; None when there is none or one never ended."""
    spent = [p["seconds"] for p in run["phases"] if p["name"] == name]
    return sum(spent) if spent and None not in spent else None


_METRICS = [
    ("cache", lambda run: run["attributes"].get("cache_mode"), count),
    ("VMs", lambda run: run["vms"]["total"], count),
    ("VMs ready", lambda run: run["vms"]["ready"], count),
    ("nodes", lambda run: len(run["nodes"]), count),
    ("ready since launch, min", lambda run: run["time_to_ready"]["min"], seconds),
    ("ready since launch, median", lambda run: run["time_to_ready"]["median"], seconds),
    ("ready since launch, max", lambda run: run["time_to_ready"]["max"], seconds),
    ("ready since running, min", lambda run: run["boot_time"]["min"], seconds),
    ("ready since running, median", lambda run: run["boot_time"]["median"], seconds),
    ("ready since running, max", lambda run: run["boot_time"]["max"], seconds),
    ("CPU time of QEMU, median", lambda run: run["cpu"]["median"], seconds),
    ("resident memory, median", lambda run: run["rss_bytes"]["median"], size),
    ("bytes hit in the cache", lambda run: run["cache"]["bytes_hit"], size),
    ("bytes read from the base", lambda run: run["cache"]["bytes_miss"], size),
    ("cache bytes on the wire", lambda run: run["distribution"]["wire_bytes"], size),
]
