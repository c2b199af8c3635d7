"""Reading a range of a file into given memory, large ones past the page cache.

The writer of a column left no pages of it in the cache, and making fresh ones costs more than the
reading itself, even where a copy out of aligned memory has to be made instead.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from greenray.storage.direct_io import BLOCK_SIZE_BYTES, DirectIo, StagingPool, read_all, use_direct

DIRECT_READ_MIN_BYTES = 1024 * 1024
"""Reads smaller than this go through the page cache, which reads ahead."""


def read_range(
    fd: int,
    views: Sequence[memoryview],
    offset: int,
    direct: DirectIo | None,
    staging: StagingPool,
) -> None:
    """Fill ``views`` (flat bytes) one after the other from ``offset`` of an open file.

    Raises: OSError, also when the file ends before they are full.
    """
    for view in views:
        if direct is None or len(view) < DIRECT_READ_MIN_BYTES:
            _read_cached(fd, view, offset)
        else:
            use_direct(fd, True)
            whole_bytes = _straight_bytes(view, offset, direct)
            _check_full(read_all(fd, [view[:whole_bytes]], offset), whole_bytes)
            if whole_bytes < len(view):
                _read_staged(fd, view[whole_bytes:], offset + whole_bytes, staging)
            use_direct(fd, False)
        offset += len(view)


def _straight_bytes(view: memoryview, offset: int, direct: DirectIo) -> int:
    """How much of ``view`` can be read into without staging."""
    if offset % BLOCK_SIZE_BYTES or not direct.fits(view):
        return 0
    return len(view) - len(view) % BLOCK_SIZE_BYTES


def _read_cached(fd: int, view: memoryview, offset: int) -> None:
    _check_full(read_all(fd, [view], offset), len(view))


def _read_staged(fd: int, view: memoryview, offset: int, staging: StagingPool) -> None:
    with staging.buffer() as memory:
        done = 0
        while done < len(view):
            skip = (offset + done) % BLOCK_SIZE_BYTES
            blocks = -(-(skip + len(view) - done) // BLOCK_SIZE_BYTES)
            size_bytes = min(blocks * BLOCK_SIZE_BYTES, len(memory))
            read_bytes = os.preadv(fd, [memory[:size_bytes]], offset + done - skip)
            found = memory[skip : min(read_bytes, skip + len(view) - done)]
            if not found:
                raise OSError(errno.EIO, "the file ended early")
            view[done : done + len(found)] = found
            done += len(found)


def _check_full(read_bytes: int, wanted_bytes: int) -> None:
    if read_bytes != wanted_bytes:
        raise OSError(errno.EIO, "the file ended early")
