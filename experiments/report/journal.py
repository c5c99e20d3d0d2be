# SPDX-License-Identifier: Apache-2.0
"""Runs vmi-recover, which makes a record of a journal with the very code that vmilaunch ends with: the lasting record of a
launch that was killed, or a passing one of what a launch that still runs has done so far."""

import os
import subprocess
import time
from dataclasses import dataclass

from .errors import ENVIRONMENT, UNUSABLE, ReportError, reason_of

SUFFIX = ".journal"
START = b'{"event"'  # of every journal


@dataclass
class Writer:
    """The launch that writes a journal."""
    journal: str
    state: str  # "running", "killed" or "unknown", as vmi-recover says
    host: str
    seconds_since_event: float  # by the clock of the file's server, and this machine's


def recover(journal, output, folders):
    """Makes the record of `journal` at `output` (None: beside it); its path, and what there was to warn of."""
    done = _run([journal] + ([output] if output else []), folders)
    return os.fsdecode(done.stdout).rstrip("\n"), _lines(done)


def peek(journal, output, folders):
    """Makes a record at `output` of what `journal` knows by now; the journal stays as it is."""
    state, host = os.fsdecode(_run(["--peek", journal, output], folders).stdout).split()
    try:
        age = max(time.time() - os.stat(journal).st_mtime, 0.0)
    except OSError as error:
        raise ReportError(UNUSABLE, f"cannot read '{journal}': {reason_of(error)}") from error
    return Writer(journal, state, host, age)


def _run(words, folders):
    command = [_find_program(folders), *words]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    except OSError as error:
        raise ReportError(ENVIRONMENT, f"cannot run '{command[0]}': {reason_of(error)}") from error
    if done.returncode != 0:
        status = done.returncode if done.returncode > 0 else ENVIRONMENT
        raise ReportError(status, " ".join(_lines(done)) or f"vmi-recover ended with status {done.returncode}")
    return done


def _find_program(folders):
    for folder in folders:
        path = os.path.join(folder, "vmi-recover")
        if os.access(path, os.X_OK):
            return path
    raise ReportError(ENVIRONMENT, f"cannot find vmi-recover in {' or '.join(folders)}; install vmilaunch whole, or "
                                   "name its folder in VMILAUNCH_LIBEXEC")


def _lines(done):
    return [line.removeprefix("vmi-recover: ").removeprefix("error: ").removeprefix("warning: ")
            for line in os.fsdecode(done.stderr).splitlines()]
