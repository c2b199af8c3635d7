"""What O_DIRECT needs: a file system that has it, aligned memory, and the system calls around it.

Fresh page-cache pages are what makes buffered writing of large files slow (a virtual machine gets
them from its host one by one), so large writes and reads go past the page cache.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import mmap
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from greenray.protocol.errors import GreenrayError, NoSpaceLeft, StoreError, StoreUnavailable

log = logging.getLogger(__name__)

BLOCK_SIZE_BYTES = 4096
"""Offsets and lengths of direct writes are multiples of this."""

STAGING_SIZE_BYTES = 2 * 1024 * 1024
STAGING_BUFFERS = 4

_IOV_MAX = os.sysconf("SC_IOV_MAX")
_FREE_SPACE = "Free some space, or move the state directory to a larger disk"
_STEPS = {
    errno.EROFS: "See why it is read-only (dmesg), and mount it for writing again",
    errno.EIO: "The disk or its connection fails: see the kernel's log (dmesg), and replace it",
    errno.EACCES: "Let the network's user read and write there",
    errno.EPERM: "Let the network's user read and write there",
}
"""What to do, by error number."""

_PASSING = {
    errno.EAGAIN: "Try again",
    errno.EBUSY: "Try again",
    errno.EMFILE: "Too many files are open in this process: raise its limit (ulimit -n)",
    errno.ENFILE: "Too many files are open on this machine",
    errno.ENOMEM: "This machine has no memory left",
    errno.ESTALE: "The network file system has forgotten it: see that its server is there",
    errno.ETIMEDOUT: "The network file system does not answer: see that its server is there",
    errno.EHOSTUNREACH: "The network file system does not answer: see that its server is there",
    errno.ENOTCONN: "The file system's server is away: see that it is there",
}
"""What to do, by the numbers of errors that pass by themselves."""


@contextmanager
def store_errors(path: Path, action: str) -> Iterator[None]:
    """Operating system errors of ``action`` (an infinitive) as NoSpaceLeft, StoreUnavailable or
    StoreError."""
    try:
        yield
    except OSError as error:
        raise store_error(error, path, action) from error


def store_error(error: OSError, path: Path, action: str) -> GreenrayError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpaceLeft(f"no space left to {action}", str(path), _FREE_SPACE)
    number = error.errno or 0
    what = f"cannot {action}: {os.strerror(number)}"
    if number in _PASSING:
        return StoreUnavailable(what, str(path), _PASSING[number])
    return StoreError(what, str(path), _STEPS.get(number, ""))


# --- what the file system can do ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DirectIo:
    """O_DIRECT works, from and to memory at multiples of ``memory_alignment_bytes``."""

    memory_alignment_bytes: int

    def fits(self, view: memoryview) -> bool:
        return address_of(view) % self.memory_alignment_bytes == 0


def address_of(view: memoryview) -> int:
    """The address of the first byte of a non-empty buffer, which may be read-only."""
    address: int = np.frombuffer(view, dtype=np.uint8).__array_interface__["data"][0]
    return address


@cache
def probe_direct_io(directory: Path) -> DirectIo | None:
    """What O_DIRECT needs in ``directory``; None where the file system has none (tmpfs).

    Asked once per directory and process, by writing a block: the answer of ``open`` alone is not
    to be trusted. Raises: NoSpaceLeft, StoreError.
    """
    with (
        store_errors(directory, "write a probe file"),
        tempfile.NamedTemporaryFile(dir=directory, prefix="probe-") as file,
    ):
        memory = memoryview(mmap.mmap(-1, 2 * BLOCK_SIZE_BYTES))
        for alignment in (512, BLOCK_SIZE_BYTES):
            block = memory[alignment : alignment + BLOCK_SIZE_BYTES]
            if _accepts_direct_write(file.name, block):
                return DirectIo(alignment)
    log.warning("%s: no O_DIRECT on this file system, writing through the page cache", directory)
    return None


def _accepts_direct_write(path: str, block: memoryview) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_DIRECT)
        try:
            return os.pwrite(fd, block, 0) == len(block)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return False
        raise


# --- reused memory -----------------------------------------------------------------------------


class StagingPool:
    """A fixed number of page-aligned buffers; a writer that finds none waits. Thread-safe."""

    def __init__(self, buffers: int = STAGING_BUFFERS, size_bytes: int = STAGING_SIZE_BYTES):
        if buffers < 1 or size_bytes < BLOCK_SIZE_BYTES or size_bytes % BLOCK_SIZE_BYTES:
            raise ValueError(f"{buffers} staging buffers of {size_bytes} bytes")
        self._size_bytes = size_bytes
        self._idle: list[memoryview] = []
        self._slots = threading.BoundedSemaphore(buffers)

    @contextmanager
    def buffer(self) -> Iterator[memoryview]:
        with self._slots:
            memory = self._idle.pop() if self._idle else self._allocate()
            try:
                yield memory
            finally:
                self._idle.append(memory)

    def _allocate(self) -> memoryview:
        return memoryview(mmap.mmap(-1, self._size_bytes))


@cache
def shared_staging_pool() -> StagingPool:
    """One pool for all stores of a process, so that its memory does not grow with their number."""
    return StagingPool()


# --- system calls that do all they were asked for ------------------------------------------------


def write_all(fd: int, views: Sequence[memoryview], offset: int) -> None:
    """Write the concatenation of ``views`` at ``offset``. Raises: OSError."""
    rest = list(views)
    while rest:
        done = os.pwritev(fd, rest[:_IOV_MAX], offset)
        if done == 0:
            raise OSError(errno.EIO, "nothing was written")
        offset += done
        rest = _without_first(rest, done)


def read_all(fd: int, views: Sequence[memoryview], offset: int) -> int:
    """Fill ``views`` from ``offset``; returns how many bytes there were. Raises: OSError."""
    rest = list(views)
    start = offset
    while rest:
        done = os.preadv(fd, rest[:_IOV_MAX], offset)
        if done == 0:
            break
        offset += done
        rest = _without_first(rest, done)
    return offset - start


def _without_first(views: list[memoryview], size_bytes: int) -> list[memoryview]:
    """``views`` without their first ``size_bytes``."""
    for index, view in enumerate(views):
        if size_bytes < len(view):
            return [view[size_bytes:], *views[index + 1 :]]
        size_bytes -= len(view)
    return []


def use_direct(fd: int, wanted: bool) -> None:
    """Switch O_DIRECT of an open file on or off. Raises: OSError."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT if wanted else flags & ~os.O_DIRECT)


def flat(buffers: Sequence[memoryview]) -> list[memoryview]:
    """The non-empty buffers as flat bytes."""
    return [memoryview(b).cast("B") for b in buffers if memoryview(b).nbytes]


def sync_directory(directory: Path) -> None:
    """Names made or removed in ``directory`` survive a power loss. Raises: OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
