# SPDX-License-Identifier: Apache-2.0
"""A record in memory: docs/record.md says what its attributes, tables and columns mean."""

import os
import stat
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone

import h5py
import pandas

from . import journal
from .errors import ENVIRONMENT, UNUSABLE, ReportError, reason_of

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
    writer: journal.Writer = None  # of the journal that this was read from; None when the launch has its record

    @property
    def complete(self):
        return bool(self.attributes.get("complete", 0))

    @property
    def state(self):
        """Of the launch: "ended", "killed", "running", or "unknown" when it runs on another machine or was killed there."""
        if self.writer:
            return self.writer.state
        return "ended" if self.complete else "killed"

    @property
    def may_run(self):
        return self.state in ("running", "unknown")

    @property
    def seconds_so_far(self):
        """Since the start of a launch that may still run; None for others, and before it has told its start."""
        start = self.attributes.get("start")
        if not self.may_run or not start:
            return None
        return max((datetime.now(timezone.utc) - datetime.fromisoformat(start)).total_seconds(), 0.0)


def load(path, libexec_folders):
    """The record at `path`, or of what the launch has done that still writes it; ReportError when there is neither."""
    source = _journal_for(path)
    if not source:
        return _load_record(path)
    try:
        with tempfile.TemporaryDirectory(prefix="vmireport-") as folder:
            so_far = os.path.join(folder, "run.h5")
            writer = journal.peek(source, so_far, libexec_folders)
            record = _load_record(so_far)
    except ReportError:
        if os.path.exists(source) or not os.path.exists(_record_of(source)):
            raise
        return _load_record(_record_of(source))  # the launch has just ended
    except OSError as error:
        raise ReportError(ENVIRONMENT, f"cannot make a folder for what '{source}' knows: {reason_of(error)}") from error
    record.path, record.writer = path, writer
    return record


def _journal_for(path):
    """Of a launch whose journal is named, or whose record is named before it is there; None when there is a record."""
    if not os.path.exists(path):
        if path.endswith(journal.SUFFIX):
            return path  # which may have become a record
        return path + journal.SUFFIX if os.path.exists(path + journal.SUFFIX) else None
    return path if start_of(path) == journal.START else None


def _record_of(path):
    return path.removesuffix(journal.SUFFIX)


def newer_launch(path):
    """The journal of a launch that will replace the record at `path`; None where there is none."""
    return path + journal.SUFFIX if os.path.exists(path) and os.path.exists(path + journal.SUFFIX) else None


def start_of(path):
    """The first eight bytes; ReportError where it is no file, as a FIFO, which would never be read to its end."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            reason = "Is a directory" if os.path.isdir(path) else "it is no file"
            raise ReportError(UNUSABLE, f"cannot open record '{path}': {reason}")
        with open(path, "rb") as file:
            return file.read(8)
    except OSError as error:
        raise ReportError(UNUSABLE, f"cannot open record '{path}': {reason_of(error)}") from error


def _load_record(path):
    start = start_of(path)
    if start != b"\x89HDF\r\n\x1a\n":
        raise ReportError(UNUSABLE, f"'{path}' is no record of vmilaunch: it is no HDF5 file")
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _read(file, path)
    except OSError as error:
        raise ReportError(UNUSABLE, f"cannot read record '{path}', it is damaged: {error}") from error


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
