# SPDX-License-Identifier: Apache-2.0
"""The launches that are reported: the record of one that ended, or what the journal of one knows that may still run."""

import os
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone

from vmilaunch import record

from . import journal
from .errors import ENVIRONMENT, UNUSABLE, ReportError, reason_of
from .guarded import guarded

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
class Launch(record.Record):
    writer: journal.Writer = None  # of the journal that this was read from; None when there is a record

    @property
    def state(self):
        """"ended", "killed", "running", or "unknown": on another machine, where it runs or was killed."""
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
    """The launch whose record is at `path`, or is to be there; ReportError when there is neither record nor journal."""
    source = _journal_for(path)
    if not source:
        return _load_record(path)
    try:
        with tempfile.TemporaryDirectory(prefix="vmireport-") as folder:
            so_far = os.path.join(folder, "run.h5")
            writer = journal.peek(source, so_far, libexec_folders)
            launch = _load_record(so_far)
    except ReportError:
        if os.path.exists(source) or not os.path.exists(_record_of(source)):
            raise
        return _load_record(_record_of(source))  # the launch has just ended
    except OSError as error:
        raise ReportError(ENVIRONMENT, f"cannot make a folder for what '{source}' knows: {reason_of(error)}") from error
    launch.path, launch.writer = path, writer
    return launch


def _journal_for(path):
    """Of a launch whose journal is named, or whose record is named before it is there; None when there is a record."""
    if not os.path.exists(path):
        if path.endswith(journal.SUFFIX):
            return path  # which may have become a record
        return path + journal.SUFFIX if os.path.exists(path + journal.SUFFIX) else None
    return path if _checked(path, record.start_of) == journal.START else None


def _record_of(path):
    return path.removesuffix(journal.SUFFIX)


def newer_launch(path):
    """The journal of a launch that will replace the record at `path`; None where there is none."""
    return path + journal.SUFFIX if os.path.exists(path) and os.path.exists(path + journal.SUFFIX) else None


def _load_record(path):
    launch = Launch(**vars(_checked(path, lambda path: guarded(record.read, path))))
    for name, columns in NEEDED.items():
        for column in columns.split():
            if column not in getattr(launch, name):
                raise ReportError(UNUSABLE, f"'{path}' is no record of vmilaunch: table '{name}' has no column '{column}'")
    return launch


def _checked(path, read):
    try:
        return read(path)
    except record.RecordError as error:
        raise ReportError(UNUSABLE, str(error)) from error
    except OSError as error:
        raise ReportError(UNUSABLE, f"cannot open record '{path}': {reason_of(error)}") from error


def labels(launches):
    """A short name for each: its file name, or its path when names repeat."""
    names = [os.path.basename(launch.path) for launch in launches]
    return [launch.path if names.count(name) > 1 else name for launch, name in zip(launches, names)]
