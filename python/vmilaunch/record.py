# SPDX-License-Identifier: Apache-2.0
"""Reads the record of a launch (RUN.h5) into pandas; docs/record.md says what its attributes, tables and columns mean.

    from vmilaunch import record

    run = record.read("run.h5")
    print(run.attributes["cache_mode"], run.vms[run.vms.state == "ready"].t_ready.median())
"""

import os
import stat
from dataclasses import dataclass

import h5py
import pandas

SCHEMA_VERSION = 1
SIGNATURE = b"\x89HDF\r\n\x1a\n"  # of every HDF5 file that vmilaunch writes
TABLES = ("vms", "images", "nodes", "phases", "errors", "boot_trace")


# What h5py raises while it reads a damaged file.
DAMAGE = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, MemoryError)


class RecordError(ValueError):
    """A file is no record, a damaged one, or one of another schema; the message names it and says which."""


@dataclass
class Record:
    path: str
    attributes: dict  # of the launch: str, int or float
    vms: pandas.DataFrame
    images: pandas.DataFrame
    nodes: pandas.DataFrame
    phases: pandas.DataFrame
    errors: pandas.DataFrame
    boot_trace: pandas.DataFrame
    units: dict  # units["vms"]["t_ready"] == "s"; empty for text

    @property
    def complete(self):
        """Whether the launch itself said how it ended; otherwise it was killed, and this is what its journal knew."""
        return bool(self.attributes.get("complete", 0))


def read(path):
    """The Record at `path`. Raises OSError when it cannot be opened, RecordError when it is no record."""
    path = os.fspath(path)
    _check_file(path)
    try:
        with h5py.File(path, "r", locking=False) as file:
            _check_schema(file, path)
            return _read(file, path)
    except RecordError:
        raise
    except DAMAGE as error:  # of a file that could be opened
        raise RecordError(f"cannot read record '{path}', it is damaged: {error}") from error


def table(dataset):
    """A table of h5py's as a DataFrame, its text as str."""
    frame = pandas.DataFrame(dataset[:])
    for column in frame.columns:
        if frame[column].dtype == object:
            frame[column] = frame[column].str.decode("utf-8", errors="replace")
    return frame


def attributes(file):
    """The root attributes as plain Python values."""
    known = {}
    for name, value in file.attrs.items():
        known[name] = value.item() if getattr(value, "size", 0) == 1 and hasattr(value, "item") else value
        if not isinstance(name, str) or not isinstance(known[name], (str, int, float)):
            raise ValueError(f"attribute {name!r} is no text or number with a name in UTF-8")
    return known


def start_of(path):
    """The first eight bytes of a file. Raises RecordError for what is none, as a FIFO, on which one would wait for ever."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise RecordError(f"cannot read record '{path}': it is no file")
    with open(path, "rb") as file:
        return file.read(len(SIGNATURE))


def _check_file(path):
    start = start_of(path)
    if start == b'{"event"':
        raise RecordError(f"'{path}' is the journal of a launch, not its record; 'vmireport {path}' shows it")
    if start != SIGNATURE:
        raise RecordError(f"'{path}' is no record of vmilaunch: it is no HDF5 file")


def _check_schema(file, path):
    version = file.attrs.get("schema_version")
    if version is None:
        hint = f"; for a boot trace use 'vmicache trace {path}'" if "boot_trace" in file else ""
        raise RecordError(f"'{path}' is no record of vmilaunch: it has no schema_version{hint}")
    if version != SCHEMA_VERSION:
        raise RecordError(f"'{path}' has schema version {version}, this program reads {SCHEMA_VERSION}; "
                          "use the vmireport of the vmilaunch that wrote it")
    for name in TABLES:
        if name not in file:
            raise RecordError(f"'{path}' is no record of vmilaunch: it has no table '{name}'")


def _read(file, path):
    tables = {name: table(file[name]) for name in TABLES}
    units = {name: dict(zip(tables[name].columns, file[name].attrs.get("units", ()))) for name in TABLES}
    return Record(path, attributes(file), **tables, units=units)
