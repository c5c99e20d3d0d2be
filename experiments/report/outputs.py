# SPDX-License-Identifier: Apache-2.0
"""What vmireport writes: text to standard output, plots and CSV files. A file is replaced only by one of its own kind."""

import json
import os
import stat
import sys

from .errors import ENVIRONMENT, USAGE, ReportError, reason_of

PLOT_STARTS = {"png": (b"\x89PNG",), "pdf": (b"%PDF",), "svg": (b"<?xml", b"<svg")}
# Columns that tell a table of ours from another one: of a record's VMs, and of an experiment's measurements.
CSV_COLUMNS = ({"name", "rank", "node", "t_ready"}, {"void", "cpu_share"})
ENOUGH_BYTES = 64 * 2**20


def say(text):
    """Prints to standard output. A full disk is an error here, since at the end of the program it is too late to tell."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ReportError(ENVIRONMENT, f"cannot write to standard output: {reason_of(error)}") from error


def visible(text, instead=lambda c: "\N{REPLACEMENT CHARACTER}"):
    """Control characters, as of a guest's console or a damaged record, must not reach a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else instead(c) for c in text)


def json_text(value):
    return visible(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False), lambda c: json.dumps(c)[1:-1]) + "\n"


def check_plot(path):
    """ReportError unless a plot may be written there."""
    ending = os.path.splitext(path)[1][1:].lower()
    if ending not in PLOT_STARTS:
        raise ReportError(USAGE, f"cannot tell the format of plot '{path}'; end its name in .png, .pdf or .svg")
    # Matplotlib names itself in each format.
    _check_kind(path, "plot", lambda content: content.startswith(PLOT_STARTS[ending]) and b"atplotlib" in content)


def check_csv(path):
    """ReportError unless a CSV file may be written there."""
    if not path.endswith(".csv"):
        raise ReportError(USAGE, f"'{path}' does not end in .csv")
    _check_kind(path, "CSV file", _is_csv)


def _is_csv(content):
    columns = set(content.split(b"\n", 1)[0].decode("utf-8", errors="replace").strip().split(","))
    return any(ours <= columns for ours in CSV_COLUMNS)


def _check_kind(path, kind, is_ours):
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ReportError(USAGE, f"cannot write {kind} '{path}': it exists and is no file; choose another name")
        with open(path, "rb") as file:
            content = file.read(ENOUGH_BYTES)
    except FileNotFoundError:
        return  # writing says what else is wrong, as a folder that is not there
    except OSError as error:
        raise ReportError(ENVIRONMENT, f"cannot write {kind} '{path}': {reason_of(error)}") from error
    if content and not is_ours(content):
        raise ReportError(USAGE, f"cannot write {kind} '{path}': a file that vmireport did not write is there, and is not "
                                 "replaced; choose another name")
