# SPDX-License-Identifier: Apache-2.0
"""What an experiment measured: rows that are kept as they come (points.jsonl), so that one that was cut off goes on where it
was, and at the end one HDF5 file: the table /results, its units, and the machine's facts as root attributes."""
import contextlib
import json
import os
import platform
import re
import subprocess
import threading
import time

import h5py
import numpy

from .box import BIN, ExperimentError, qemu, say

SHOWN = 5  # columns of a row, the first ones, that are told while an experiment runs
LONG_ARM_S = 600  # an arm whose launches take longer than this in all runs once
MOST_FAILURES = 3
MOST_VOID = 2  # what was void that often is left so: some schemes need all processors whenever they run


class Results:
    """`most_cpu`: share of all processors above which they, not the links, may have decided."""

    def __init__(self, name, folder, most_cpu, **attributes):
        self.most_cpu = most_cpu
        self.lock = threading.Lock()  # of the rows, their journal and the failures: measurements may run beside each other
        self.failures = []
        self.path = folder / f"{name}.h5"
        self.journal, self.took = folder / "points.jsonl", folder / "took_s"
        self.begin = time.monotonic()
        self.rows = [json.loads(line) for line in self.journal.read_text().splitlines()] if self.journal.exists() else []
        self.attributes = {"experiment": name, "schema_version": 1, "most_cpu_share": most_cpu, **machine_facts(), **attributes}

    def of(self, **point):
        """The rows of a point."""
        return [row for row in self.rows if all(row[key] == value for key, value in point.items())]

    def has(self, **point):
        """Was this measured already, and not void, or void so often that it will be again?"""
        rows = self.of(**point)
        return any(not row["void"] for row in rows) or len(rows) >= MOST_VOID

    def is_void(self, **point):
        """Was all that was measured of this void?"""
        rows = self.of(**point)
        return bool(rows) and all(row["void"] for row in rows)

    def once_is_enough(self, repeat, **arm):
        """Is this a repetition of an arm whose launches of the first round took longer than LONG_ARM_S in all?"""
        return repeat > 0 and sum(row["last_ready_s"] for row in self.of(repeat=0, void=0, **arm)) > LONG_ARM_S

    @contextlib.contextmanager
    def timed(self):
        """What it takes to measure: the attribute took_s, with what earlier calls took until their last row."""
        self.begin = time.monotonic() - (float(self.took.read_text()) if self.took.exists() else 0.0)
        yield
        self._note_time()

    def _note_time(self):
        self.attributes["took_s"] = time.monotonic() - self.begin
        self.took.write_text(f"{self.attributes['took_s']:.1f}\n")

    @contextlib.contextmanager
    def going_on(self):
        """A measurement: should it fail, that is told and counted, and the experiment goes on with the next, but not after the third."""
        try:
            yield
        except ExperimentError as error:
            with self.lock:
                self.failures.append(str(error))
                most = len(self.failures) >= MOST_FAILURES
            if most:
                raise
            say(f"failed, and left out: {error}")

    def add(self, row, cpu_share, timed=True):
        """`row`: values by column; text, int or float. A timed run that needed too much of the machine is void."""
        row = {**row, "cpu_share": cpu_share, "void": int(timed and not cpu_share <= self.most_cpu)}
        with self.lock:
            self.rows.append(row)
            with self.journal.open("a") as file:
                file.write(json.dumps(row) + "\n")
                file.flush()
                os.fsync(file.fileno())
            self._note_time()
        shown = ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in list(row.items())[:SHOWN])
        say(f"{shown}; processors busy {cpu_share:.0%}{' (VOID)' if row['void'] else ''}")

    def save(self):
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        kinds = {key: next(type(row[key]) for row in self.rows if key in row) for key in columns}
        for key in columns:
            if kinds[key] is int and any(isinstance(row.get(key, 0.0), float) for row in self.rows):
                kinds[key] = float
        missing = {str: "", int: -1, float: float("nan")}
        width = {key: max(1, *(len(str(row.get(key, "")).encode()) for row in self.rows)) for key in columns}
        dtype = [(key, h5py.string_dtype("utf-8", width[key]) if kinds[key] is str else {int: "<i8", float: "<f8"}[kinds[key]])
                 for key in columns]
        table = numpy.array([tuple(row.get(key, missing[kinds[key]]) for key in columns) for row in self.rows], dtype=dtype)
        with h5py.File(self.path, "w") as file:
            for key, value in self.attributes.items():
                file.attrs[key] = value
            dataset = file.create_dataset("results", data=table, chunks=True, compression="gzip", shuffle=True)
            dataset.attrs["units"] = [unit_of(key, kinds[key]) for key in columns]


def unit_of(column, kind):
    for ending, unit in (("_s", "s"), ("_bytes", "bytes"), ("_mbit", "Mbit/s")):
        if column.endswith(ending):
            return unit
    return "" if kind is str else "1"


def machine_facts():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    return {"cpu": model.group(1) if model else platform.machine(), "cpus": os.cpu_count(), "kernel": platform.release(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "qemu_version": first_line(qemu(), "--version"), "mpi_library": first_line("mpirun", "--version"),
            "program_version": first_line(BIN / "vmilaunch", "--version")}


def first_line(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]
