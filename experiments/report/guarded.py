# SPDX-License-Identifier: Apache-2.0
"""Reads files in a child process: HDF5's library crashes on some damaged files, and never comes back from others."""

import os
import pickle
import select
import signal
import time

from .errors import UNUSABLE, ReportError

DEADLINE_S = 60


def guarded(read, path, deadline_s=DEADLINE_S):
    """What read(path) returns or raises; ReportError where it crashes or does not end."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _answer(theirs, read, path)
    os.close(theirs)
    try:
        answer = _all_of(ours, time.monotonic() + deadline_s)
    finally:
        os.close(ours)
        os.kill(child, signal.SIGKILL)  # does nothing to one that has ended
        _, status = os.waitpid(child, 0)
    if answer is None:
        raise ReportError(UNUSABLE, f"cannot read '{path}', it is damaged: HDF5's library did not end within {deadline_s} s")
    try:
        worked, value = pickle.loads(answer)
    except (EOFError, pickle.UnpicklingError) as error:
        by = f" ({signal.Signals(os.WTERMSIG(status)).name})" if os.WIFSIGNALED(status) else ""
        raise ReportError(UNUSABLE, f"cannot read '{path}', it is damaged: HDF5's library crashed on it{by}") from error
    if not worked:
        raise value
    return value


def _answer(pipe, read, path):
    """In the child: never returns."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # a crash has last words of its own
        try:
            answer = (True, read(path))
        except Exception as error:  # pylint: disable=broad-exception-caught
            answer = (False, error)
        with os.fdopen(pipe, "wb") as file:
            pickle.dump(answer, file)
    finally:
        os._exit(0)


def _all_of(pipe, deadline):
    """Everything up to the pipe's end; None when that does not come in time."""
    parts = []
    while select.select([pipe], [], [], max(deadline - time.monotonic(), 0))[0]:
        part = os.read(pipe, 2**20)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return None
