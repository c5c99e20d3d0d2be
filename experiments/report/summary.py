# SPDX-License-Identifier: Apache-2.0
"""What a record comes to, as plain dicts and lists: --json prints it, table.py formats it.

None stands for what is not known; times are seconds.
"""

import math
import os


def summarise(record):
    vms = record.vms
    return {
        "file": os.fsencode(record.path).decode("utf-8", errors="replace"),
        "state": record.state,
        "seconds_so_far": record.seconds_so_far,
        "host": record.writer.host if record.writer else None,
        "seconds_since_event": record.writer.seconds_since_event if record.writer else None,
        "journal": record.writer.journal if record.writer else None,
        "complete": record.complete,
        "journal_lines_lost": record.attributes.get("journal_lines_lost", 0),
        "attributes": {name: _known(value) for name, value in sorted(record.attributes.items())},
        "phases": [_phase(row) for row in record.phases.itertuples()],
        "vms": {
            "total": len(vms),
            "states": {state: int(n) for state, n in vms.state.value_counts(sort=False).items()},
            "ready": int(is_ready(vms).sum()),
        },
        "time_to_ready": spread(vms.t_ready[is_ready(vms)]),
        "boot_time": spread((vms.t_ready - vms.t_running)[is_ready(vms)]),
        "cpu": spread(vms.cpu_s),
        "rss_bytes": spread(vms.rss_bytes[vms.rss_bytes >= 0]),
        "nodes": [_node(row, vms[vms.node == row.node]) for row in record.nodes.itertuples()],
        "cache": _cache(vms),
        "distribution": _distribution(record.nodes),
        "images": _rows(record.images),
        "failures": [_row(row, ["name", "node", "state", "error"]) for row in vms[not_ready(record)].itertuples()],
        "errors": _rows(record.errors),
    }


def is_ready(vms):
    """Whether each VM got ready, and did not fail afterwards."""
    return vms.t_ready.notna() & (vms.state != "failed")


def not_ready(record):
    """The VMs that did not get ready; while the launch may still run only those that failed."""
    return record.vms.state == "failed" if record.may_run else ~is_ready(record.vms)


def spread(values):
    """Min, median and max of what is known."""
    values = values.dropna()
    if values.empty:
        return {"count": 0, "min": None, "median": None, "max": None}
    return {"count": len(values), "min": float(values.min()), "median": float(values.median()),
            "max": float(values.max())}


def _known(value):
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return None if value in (-1, "") else value


def _row(row, columns):
    return {name: _known(_plain(getattr(row, name))) for name in columns}


def _rows(table):
    return [{name: _known(value) for name, value in row.items()} for row in table.to_dict("records")]


def _plain(value):
    return value.item() if hasattr(value, "item") else value


def _phase(row):
    return {"name": row.name, "begin": _known(row.t_begin), "end": _known(row.t_end),
            "seconds": _known(row.t_end - row.t_begin)}


def _node(row, vms):
    ready = is_ready(vms)
    return {**_row(row, ["node", "hostname", "cache_source", "wire_bytes", "payload_bytes"]),
            "cache_seconds": _known(row.t_cache_last - row.t_cache_first),
            "vms": len(vms), "ready": int(ready.sum()), "time_to_ready": spread(vms.t_ready[ready])}


def _cache(vms):
    """Sums over the VMs whose counters are known; their number is `counted`."""
    known = vms[(vms.bytes_hit >= 0) & (vms.bytes_miss >= 0)]
    sums = {name: int(vms[name][vms[name] >= 0].sum()) if (vms[name] >= 0).any() else None
            for name in ("hits", "misses", "bytes_hit", "bytes_miss", "bytes_filled")}
    read = int((known.bytes_hit + known.bytes_miss).sum())
    return {"counted": len(known), **sums, "hit_ratio": int(known.bytes_hit.sum()) / read if read > 0 else None}


def _distribution(nodes):
    def total(column):
        known = column[column >= 0]
        return int(known.sum()) if len(known) else None
    return {"wire_bytes": total(nodes.wire_bytes), "payload_bytes": total(nodes.payload_bytes),
            "seconds": _known(float(nodes.t_cache_last.max() - nodes.t_cache_first.min()))}
