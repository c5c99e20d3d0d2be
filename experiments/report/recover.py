# SPDX-License-Identifier: Apache-2.0
"""Runs vmi-recover, which makes a record of a journal with the very code that vmilaunch ends with."""

import os
import subprocess

from .errors import ENVIRONMENT, ReportError, reason_of


def find_program(folders):
    for folder in folders:
        path = os.path.join(folder, "vmi-recover")
        if os.access(path, os.X_OK):
            return path
    raise ReportError(ENVIRONMENT, f"cannot find vmi-recover in {' or '.join(folders)}; install vmilaunch whole, or "
                                   "name its folder in VMILAUNCH_LIBEXEC")


def recover(journal, output, folders):
    """Makes the record of `journal` at `output` (None: beside it); its path."""
    command = [find_program(folders), journal] + ([output] if output else [])
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    except OSError as error:
        raise ReportError(ENVIRONMENT, f"cannot run '{command[0]}': {reason_of(error)}") from error
    said = [_without_name(line) for line in os.fsdecode(done.stderr).splitlines()]
    if done.returncode != 0:
        status = done.returncode if done.returncode > 0 else ENVIRONMENT
        raise ReportError(status, " ".join(said) or f"vmi-recover ended with status {done.returncode}")
    return os.fsdecode(done.stdout).rstrip("\n"), said


def _without_name(line):
    return line.removeprefix("vmi-recover: ").removeprefix("error: ").removeprefix("warning: ")
