"""Reused buffers under a byte budget: the credit without which nothing is read from a socket.

Fresh pages cost several times what a warm copy costs, so buffers are kept and handed out again.
"""

from __future__ import annotations

import asyncio
import mmap
from collections import deque

import numpy as np

from actors.ports import Column

_SMALLEST_BYTES = 64 * 1024


def capacity_for(size_bytes: int) -> int:
    """What a buffer of ``size_bytes`` takes from the budget: the next power of two."""
    return max(_SMALLEST_BYTES, 1 << max(0, size_bytes - 1).bit_length())


class BufferPool:
    """Flat uint8 buffers at page boundaries.

    Leased and kept buffers together never exceed ``budget_bytes``, but for a buffer that is larger
    on its own: it is had alone. Who waits first is served first, so a large request is not starved
    by small ones.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._free: dict[int, list[Column]] = {}
        self._allocated_bytes = 0
        self._waiting: deque[tuple[int, asyncio.Future[Column]]] = deque()

    @property
    def budget_bytes(self) -> int:
        return self._budget_bytes

    @property
    def allocated_bytes(self) -> int:
        """Leased and kept buffers."""
        return self._allocated_bytes

    @property
    def leased_bytes(self) -> int:
        kept = sum(capacity * len(free) for capacity, free in self._free.items())
        return self._allocated_bytes - kept

    async def acquire(self, size_bytes: int) -> Column:
        """A buffer of at least ``size_bytes`` with undefined contents, until ``release``."""
        capacity = capacity_for(size_bytes)
        if not self._waiting:
            buffer = self._take(capacity)
            if buffer is not None:
                return buffer
        future: asyncio.Future[Column] = asyncio.get_running_loop().create_future()
        self._waiting.append((capacity, future))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(future.result())
            self._serve()
            raise

    def release(self, buffer: Column) -> None:
        """Give a buffer back. Nothing may touch it afterwards."""
        self._free.setdefault(len(buffer), []).append(buffer)
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            capacity, future = self._waiting[0]
            if not future.done():
                buffer = self._take(capacity)
                if buffer is None:
                    return
                future.set_result(buffer)
            self._waiting.popleft()

    def _take(self, capacity: int) -> Column | None:
        free = self._free.get(capacity)
        if free:
            return free.pop()
        self._drop_kept(capacity)
        if self._allocated_bytes and self._allocated_bytes + capacity > self._budget_bytes:
            return None
        self._allocated_bytes += capacity
        # Whole pages, so that O_DIRECT takes them as they are.
        pages = mmap.mmap(-1, capacity, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return np.frombuffer(pages, dtype=np.uint8)

    def _drop_kept(self, wanted_bytes: int) -> None:
        """Let kept buffers of other sizes go until ``wanted_bytes`` fit into the budget."""
        for capacity, free in self._free.items():
            while free and self._allocated_bytes + wanted_bytes > self._budget_bytes:
                free.pop()
                self._allocated_bytes -= capacity
