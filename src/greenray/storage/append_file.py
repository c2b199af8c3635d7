"""A file that grows by appends, in whole blocks past the page cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from greenray.storage.direct_io import (
    BLOCK_SIZE_BYTES,
    DirectIo,
    StagingPool,
    flat,
    use_direct,
    write_all,
)


class AppendFile:
    """Appends to an open file; owns ``fd``, which was opened for reading and writing,
    once it is constructed.

    With ``direct``, whole blocks are written with O_DIRECT, straight from the caller's memory where
    it is aligned and through a staging buffer where not. What does not fill a block, the *tail*, is
    kept here and written through the page cache when it has to be in the file, so that the file is
    never longer than what was appended. A tail that was written is written again as the beginning
    of its block: whichever of the two a crash leaves, its bytes are the same.

    ``size_bytes`` is how much of the file is there. Not thread-safe. Methods raise OSError; what is
    in the file behind the last ``flush`` is then undefined.
    """

    def __init__(
        self, fd: int, size_bytes: int, direct: DirectIo | None, staging: StagingPool
    ) -> None:
        self._fd = -1
        self._direct = direct
        self._staging = staging
        self._is_direct = False
        self._is_synced = False
        tail_bytes = size_bytes % BLOCK_SIZE_BYTES if direct else 0
        self._tail_offset = size_bytes - tail_bytes
        self._tail = os.pread(fd, tail_bytes, self._tail_offset)
        self._flushed_tail_bytes = tail_bytes
        self._fd = fd

    @property
    def size_bytes(self) -> int:
        return self._tail_offset + len(self._tail)

    @property
    def fd(self) -> int:
        return self._fd

    def append(self, buffers: Sequence[memoryview]) -> None:
        """Append the concatenation of ``buffers`` without joining them."""
        views = flat(buffers)
        added_bytes = sum(map(len, views))
        if self._direct is None:
            self._write(views)
        elif len(self._tail) + added_bytes < BLOCK_SIZE_BYTES:
            self._tail += b"".join(views)
        else:
            with _BlockGatherer(self._tail, self._direct, self._staging, self._write) as gatherer:
                for view in views:
                    gatherer.add(view)
                self._tail = gatherer.end()
            self._flushed_tail_bytes = 0

    def flush(self) -> None:
        """Hand the tail to the operating system: all that was appended survives this process."""
        if self._flushed_tail_bytes < len(self._tail):
            self._switch_direct(False)
            rest = memoryview(self._tail)[self._flushed_tail_bytes :]
            self._is_synced = False
            write_all(self._fd, [rest], self._tail_offset + self._flushed_tail_bytes)
            self._flushed_tail_bytes = len(self._tail)

    def sync(self) -> None:
        """All that was appended survives a power loss (the file's name is another matter)."""
        self.flush()
        if not self._is_synced:
            os.fdatasync(self._fd)
            self._is_synced = True

    def close(self) -> None:
        """Idempotent. A tail that shall stay in the file has to be flushed before."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        # A writer that was dropped (its task died) must not hold its file for ever.
        with suppress(OSError):
            self.close()

    def _write(self, views: list[memoryview]) -> None:
        self._switch_direct(self._direct is not None)
        self._is_synced = False
        write_all(self._fd, views, self._tail_offset)
        self._tail_offset += sum(map(len, views))

    def _switch_direct(self, wanted: bool) -> None:
        if wanted is not self._is_direct:
            use_direct(self._fd, wanted)
            self._is_direct = wanted


class _BlockGatherer(ExitStack):
    """Arranges buffers into runs of whole blocks at aligned addresses, few writes in all.

    A run is a slice of the caller's memory, or of the staging buffer, which is taken from the pool
    only when something has to be copied.
    """

    def __init__(
        self,
        tail: bytes,
        direct: DirectIo,
        staging: StagingPool,
        write: Callable[[list[memoryview]], None],
    ) -> None:
        super().__init__()
        self._direct = direct
        self._pool = staging
        self._write = write
        self._runs: list[memoryview] = []
        self._staging = memoryview(b"")
        self._run_start = 0
        self._staged_end = 0
        if tail:
            self._stage(memoryview(tail))

    def add(self, view: memoryview) -> None:
        while view:
            at_block = self._staged_end % BLOCK_SIZE_BYTES == 0
            if at_block and len(view) >= BLOCK_SIZE_BYTES and self._direct.fits(view):
                self._end_staged_run()
                whole_bytes = len(view) - len(view) % BLOCK_SIZE_BYTES
                self._runs.append(view[:whole_bytes])
                view = view[whole_bytes:]
            else:
                view = view[self._stage(view) :]

    def end(self) -> bytes:
        """Write what makes whole blocks; returns the new tail."""
        tail_bytes = self._staged_end % BLOCK_SIZE_BYTES
        tail = bytes(self._staging[self._staged_end - tail_bytes : self._staged_end])
        self._staged_end -= tail_bytes
        self._write_runs()
        return tail

    def _stage(self, view: memoryview) -> int:
        """Copy some of ``view``; returns how many bytes."""
        if not self._staging:
            self._staging = self.enter_context(self._pool.buffer())
        size_bytes = min(len(view), len(self._staging) - self._staged_end)
        to_block = -self._staged_end % BLOCK_SIZE_BYTES
        if 0 < to_block < len(view) and self._direct.fits(view[to_block:]):
            size_bytes = to_block  # from there on it need not be copied
        end = self._staged_end + size_bytes
        self._staging[self._staged_end : end] = view[:size_bytes]
        self._staged_end = end
        if end == len(self._staging):
            self._write_runs()
        return size_bytes

    def _end_staged_run(self) -> None:
        if self._staged_end > self._run_start:
            self._runs.append(self._staging[self._run_start : self._staged_end])
            self._run_start = self._staged_end

    def _write_runs(self) -> None:
        self._end_staged_run()
        self._write(self._runs)
        self._runs = []
        self._run_start = self._staged_end = 0
