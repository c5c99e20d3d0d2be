# SPDX-License-Identifier: Apache-2.0
"""One launch of replayed boots in a box, measured."""
import datetime
import time

import h5py
import pandas

from .box import BIN, CpuMeter, ExperimentError, qemu, touch_memory

MEMORY_OF_A_VM = 64 * 2**20  # and of its rank and supervisor, generously


def launch(box, boot, nodes, options, record, think=1.0, backend="qemu", vms=None, timeout=None, notes=None, local=False, beside=False):
    """Launches `vms` (default: one a node) on the first `nodes` nodes. Every VM must read what the image holds, or it never gets ready.

    `local`: from the image's file, which node 0 then has, instead of the storage node's server. `beside`: others run meanwhile, in
    clusters of their own, and all wait for links.
    Returns (row of Results, share of the processors that was used).
    """
    timeout = timeout or 120 + 2 * boot.think_s * think
    words = [BIN / "vmilaunch", "--image", boot.image if local else box.url(boot.image), "--vms", vms or nodes, *options,
             "--backend", backend, *replay_options(boot, think), "--timeout", f"{timeout:.0f}s", "--output", record]
    for key, value in {"link": box.rate, "trace": boot.name, "think": think, "started_by": box.started_by, **(notes or {})}.items():
        words += ["--note", f"{key}={value}"]
    if not beside:
        touch_memory((vms or nodes) * (boot.cache.stat().st_size + MEMORY_OF_A_VM))
    served = box.served_bytes()
    begin = time.time()
    with CpuMeter() as meter:
        status = box.start_ranks(nodes, words, record.with_suffix(".log"), timeout + 400, started="waiting for " if beside else None)
    served = box.served_bytes() - served
    if status != 0:
        raise ExperimentError(f"vmilaunch ended with status {status}; see {record.with_suffix('.log')}")
    row = measured(record)
    start, first, last = row.pop("start"), row.pop("sending_begin_s"), row.pop("sending_end_s")
    share = meter.share(max(begin, start), start + row["last_ready_s"])
    sending = meter.share(start + first, start + last)
    with h5py.File(record, "r+", locking=False) as file:
        file.attrs["note.box_cpu_share"] = share
    return {"nodes": nodes, "vms": vms or nodes, "served_bytes": served, **row, "sending_cpu_share": sending}, share


def replay_options(boot, think):
    """The guest that replays the boot, for vmilaunch and vmicache build."""
    return ["--qemu", qemu(), "--machine", "microvm", "--memory", "32M", "--accel", "tcg", "--kernel", BIN / "replay.elf",
            "--initrd", boot.trace, "--append", f"think={think:g}", "--ready", f"serial:REPLAY-DONE .*full={boot.full}"]


def measured(record):
    """What a record says about a launch whose VMs were all ready."""
    with h5py.File(record, "r", locking=False) as file:
        vms, nodes, phases = (pandas.DataFrame(file[name][:]) for name in ("vms", "nodes", "phases"))
        start = datetime.datetime.fromisoformat(file.attrs["start"].replace("Z", "+00:00")).timestamp()
    receivers = nodes.node[nodes.cache_source.str.decode("ascii") == "received"]
    received = vms[vms.node.isin(receivers)]
    phase = phases.name.str.decode("ascii")
    took = (phases.t_end - phases.t_begin).groupby(phase).sum()
    sending = phases[phase == "distribute"]
    return {"start": start, "sending_begin_s": float(sending.t_begin.min()), "sending_end_s": float(sending.t_end.max()),
            "last_ready_s": float(vms.t_ready.max()), "median_ready_s": float(vms.t_ready.median()),
            "last_receiver_ready_s": float(received.t_ready.max()), "last_boot_s": float((vms.t_ready - vms.t_running).max()),
            "median_boot_s": float((vms.t_ready - vms.t_running).median()), "distribute_s": float(took.get("distribute", float("nan"))),
            "wire_bytes": int(nodes.wire_bytes[nodes.wire_bytes >= 0].sum()), "qemu_cpu_s": float(vms.cpu_s.median()), "rss_bytes": int(vms.rss_bytes.median()),
            "missed_bytes": int(vms.bytes_miss.sum()) if (vms.bytes_miss >= 0).all() else -1}
