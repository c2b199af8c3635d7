"""Reused buffers under a byte budget: the credit without which nothing is read or made.

Fresh pages cost several times what a warm copy costs, so buffers are kept and handed out again.
"""

from __future__ import annotations

import asyncio
import mmap
from collections import deque

import numpy as np

from greenray.actors.ports import Column

_SMALLEST_BYTES = 64 * 1024


def capacity_for(size_bytes: int) -> int:
    """What a buffer of ``size_bytes`` takes from the budget: the next power of two."""
    return max(_SMALLEST_BYTES, 1 << max(0, size_bytes - 1).bit_length())


class BufferShelf:
    """Flat uint8 buffers at page boundaries: those that were taken, and those that are kept."""

    def __init__(self) -> None:
        self._kept: dict[int, list[Column]] = {}
        self.allocated_bytes = 0
        """Taken and kept."""

    @property
    def kept_bytes(self) -> int:
        return sum(capacity * len(kept) for capacity, kept in self._kept.items())

    def take(self, capacity: int, limit_bytes: int) -> Column | None:
        """A buffer with undefined contents, if all of them then stay below the limit. One that is
        larger on its own is had alone."""
        kept = self._kept.get(capacity)
        if kept:
            return kept.pop()
        self._drop_kept(capacity, limit_bytes)
        if self.allocated_bytes and self.allocated_bytes + capacity > limit_bytes:
            return None
        self.allocated_bytes += capacity
        # Whole pages, so that O_DIRECT takes them as they are.
        pages = mmap.mmap(-1, capacity, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return np.frombuffer(pages, dtype=np.uint8)

    def put(self, buffer: Column, keep_up_to_bytes: int) -> None:
        """Nothing may touch it afterwards. It is kept when all are no more than that."""
        if self.allocated_bytes > keep_up_to_bytes:
            self.allocated_bytes -= len(buffer)
        else:
            self._kept.setdefault(len(buffer), []).append(buffer)

    def _drop_kept(self, wanted_bytes: int, limit_bytes: int) -> None:
        """Let kept buffers of other sizes go until ``wanted_bytes`` fit below the limit."""
        for capacity, kept in self._kept.items():
            while kept and self.allocated_bytes + wanted_bytes > limit_bytes:
                kept.pop()
                self.allocated_bytes -= capacity


class BufferPool:
    """Buffers for our own work, which hands them back by itself.

    Leased and kept buffers together never exceed ``budget_bytes``, but for a buffer that is larger
    on its own: it is had alone. Who waits first is served first, so a large request is not starved
    by small ones.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._shelf = BufferShelf()
        self._waiting: deque[tuple[int, asyncio.Future[Column]]] = deque()

    @property
    def allocated_bytes(self) -> int:
        """Leased and kept buffers."""
        return self._shelf.allocated_bytes

    @property
    def leased_bytes(self) -> int:
        return self._shelf.allocated_bytes - self._shelf.kept_bytes

    async def acquire(self, size_bytes: int) -> Column:
        """A buffer of at least ``size_bytes`` with undefined contents, until ``release``."""
        capacity = capacity_for(size_bytes)
        if not self._waiting:
            buffer = self._shelf.take(capacity, self._budget_bytes)
            if buffer is not None:
                return buffer
        turn: asyncio.Future[Column] = asyncio.get_running_loop().create_future()
        self._waiting.append((capacity, turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(turn.result())
            self._serve()
            raise

    def release(self, buffer: Column) -> None:
        """Give a buffer back. Nothing may touch it afterwards."""
        self._shelf.put(buffer, self._budget_bytes)
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            capacity, turn = self._waiting[0]
            if not turn.done():
                buffer = self._shelf.take(capacity, self._budget_bytes)
                if buffer is None:
                    return
                turn.set_result(buffer)
            self._waiting.popleft()
