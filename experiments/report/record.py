# SPDX-License-Identifier: Apache-2.0
"""A record in memory: docs/record.md says what its attributes, tables and columns mean."""

import os
from dataclasses import dataclass

import h5py
import pandas

from .errors import UNUSABLE, ReportError, reason_of

SCHEMA_VERSION = 1

# The tables and columns that the report needs; a record may have more.
NEEDED = {
    "vms": "name rank node image state error t_prepare t_spawn t_running t_ready t_stopped "
           "hits misses bytes_hit bytes_miss bytes_filled cpu_s rss_bytes",
    "images": "url virtual_bytes cached_bytes file_bytes",
    "nodes": "node hostname cache_source t_cache_first t_cache_last wire_bytes payload_bytes",
    "phases": "name t_begin t_end",
    "errors": "t source text",
}


@dataclass
class Record:
    path: str
    attributes: dict  # root attributes: str, int or float
    vms: pandas.DataFrame
    images: pandas.DataFrame
    nodes: pandas.DataFrame
    phases: pandas.DataFrame
    errors: pandas.DataFrame

    @property
    def complete(self):
        return bool(self.attributes.get("complete", 0))


def load(path):
    """Reads the record at `path`; ReportError when it is none."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _read(file, path)
    except OSError as error:
        raise ReportError(UNUSABLE, _why_unreadable(path, error)) from error


def _why_unreadable(path, error):
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError as plain:
        return f"cannot open record '{path}': {reason_of(plain)}"
    if start.startswith(b'{"event"'):
        return f"'{path}' is the journal of a launch, not its record; make one with 'vmireport --recover {path}'"
    if start != b"\x89HDF\r\n\x1a\n":
        return f"'{path}' is no record of vmilaunch: it is no HDF5 file"
    return f"cannot read record '{path}', it is damaged: {error}"


def _read(file, path):
    attributes = {name: _plain(value) for name, value in file.attrs.items()}
    version = attributes.get("schema_version")
    if version is None:
        hint = f"; for a boot trace use 'vmicache trace {path}'" if "boot_trace" in file else ""
        raise ReportError(UNUSABLE, f"'{path}' is no record of vmilaunch: it has no schema_version{hint}")
    if version != SCHEMA_VERSION:
        raise ReportError(UNUSABLE, f"'{path}' has schema version {version}, this program reads {SCHEMA_VERSION}; "
                                    f"use the vmireport of the vmilaunch that wrote it")
    return Record(path, attributes, **{name: _table(file, path, name) for name in NEEDED})


def _plain(value):
    return value.item() if hasattr(value, "item") else value


def _table(file, path, name):
    if name not in file:
        raise ReportError(UNUSABLE, f"'{path}' is no record of vmilaunch: it has no table '{name}'")
    columns = file[name].dtype.names or ()
    for column in NEEDED[name].split():
        if column not in columns:
            raise ReportError(UNUSABLE, f"'{path}' is no record of vmilaunch: table '{name}' has no column '{column}'")
    frame = pandas.DataFrame(file[name][:])
    for column in frame.columns:
        if frame[column].dtype == object:
            frame[column] = frame[column].str.decode("utf-8", errors="replace")
    return frame


def labels(records):
    """A short name for each record: its file name, or its path when names repeat."""
    names = [os.path.basename(record.path) for record in records]
    return [record.path if names.count(name) > 1 else name for record, name in zip(records, names)]
