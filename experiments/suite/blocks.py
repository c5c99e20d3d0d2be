# SPDX-License-Identifier: Apache-2.0
"""Blocks of 4 KiB, the clusters of boot caches: which of them reads touch, and what they hold."""
import hashlib
import os
import subprocess
import tempfile

import nbd
import numpy

from .box import ExperimentError

BLOCK = 4096
ZEROS = bytes(BLOCK)
ZSTD = ["zstd", "-3", "--quiet", "--stdout"]
AT_ONCE = 4096  # blocks that are read with one request


def blocks_of(reads):
    """The numbers of the blocks that the reads touch, each once, ascending."""
    first, last = reads["offset"] // BLOCK, (reads["offset"] + reads["bytes"] - 1) // BLOCK
    return numpy.unique(numpy.concatenate([numpy.arange(a, b + 1) for a, b in zip(first, last)]))


def contents_of(image, blocks):
    """What the qcow2 `image` holds in `blocks`, which ascend: the digests of all that are not zeros, each once, ascending, and
    the bytes that zstd makes of all of them."""
    connection = nbd.NBD()
    connection.connect_systemd_socket_activation(["qemu-nbd", "--read-only", "--format=qcow2", str(image)])
    digests = set()
    with tempfile.TemporaryFile() as compressed:
        with subprocess.Popen(ZSTD, stdin=subprocess.PIPE, stdout=compressed) as zstd:
            for begin, count in runs_of(blocks):
                data = connection.pread(count * BLOCK, begin * BLOCK)
                zstd.stdin.write(data)
                digests.update(digest(block) for block in (data[at:at + BLOCK] for at in range(0, len(data), BLOCK)) if block != ZEROS)
        if zstd.returncode != 0:
            raise ExperimentError(f"zstd ended with status {zstd.returncode}")
        size = os.fstat(compressed.fileno()).st_size
    connection.shutdown()
    return numpy.array(sorted(digests), dtype="u8"), size


def runs_of(blocks):
    """(first, number) of the blocks that follow one another, AT_ONCE at most."""
    for run in numpy.split(blocks, numpy.flatnonzero(numpy.diff(blocks) != 1) + 1):
        for part in range(0, len(run), AT_ONCE):
            yield int(run[part]), len(run[part:part + AT_ONCE])


def digest(block):
    return int.from_bytes(hashlib.blake2b(block, digest_size=8).digest(), "little")
