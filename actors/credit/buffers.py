"""Reused buffers under a byte budget: the credit without which nothing is read from a socket.

Fresh pages cost several times what a warm copy costs, so buffers are kept and handed out again.
"""

from __future__ import annotations

import asyncio
import mmap
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from greenray.actors.ports import Column

_SMALLEST_BYTES = 64 * 1024


def capacity_for(size_bytes: int) -> int:
    """What a buffer of ``size_bytes`` takes from the budget: the next power of two."""
    return max(_SMALLEST_BYTES, 1 << max(0, size_bytes - 1).bit_length())


@dataclass(slots=True, eq=False)
class _Waiter:
    capacity: int
    buffer: asyncio.Future[Column]
    limit_bytes: int
    patience: asyncio.TimerHandle | None = None


class BufferPool:
    """Flat uint8 buffers at page boundaries.

    Leased and kept buffers together never exceed ``budget_bytes``, but for a buffer that is larger
    on its own: it is had alone. Who waits first is served first, so a large request is not starved
    by small ones.

    No more than ``at_once_bytes`` (all of it by default) are given to who comes; the rest is for
    who has waited ``patience_s``. Those that use buffers quickly then share a few warm ones, and
    those that are slow with theirs do not hold up everybody. ``on_pressure`` is called when who has
    waited for so long still has none, and again after as long.
    """

    def __init__(
        self,
        budget_bytes: int,
        at_once_bytes: int | None = None,
        patience_s: float = 1.0,
        on_pressure: Callable[[], None] = lambda: None,
    ) -> None:
        self._budget_bytes = budget_bytes
        self._at_once_bytes = budget_bytes if at_once_bytes is None else at_once_bytes
        self._patience_s = patience_s
        self._on_pressure = on_pressure
        self._free: dict[int, list[Column]] = {}
        self._allocated_bytes = 0
        self._waiting: deque[_Waiter] = deque()

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
            buffer = self._take(capacity, self._at_once_bytes)
            if buffer is not None:
                return buffer
        loop = asyncio.get_running_loop()
        waiter = _Waiter(capacity, loop.create_future(), self._at_once_bytes)
        self._waiting.append(waiter)
        waiter.patience = loop.call_later(self._patience_s, self._let_in, waiter)
        try:
            return await waiter.buffer
        except asyncio.CancelledError:
            if waiter.buffer.done() and not waiter.buffer.cancelled():
                self.release(waiter.buffer.result())
            self._serve()
            raise
        finally:
            waiter.patience.cancel()

    def release(self, buffer: Column) -> None:
        """Give a buffer back. Nothing may touch it afterwards."""
        if self._allocated_bytes > self._at_once_bytes:
            self._allocated_bytes -= len(buffer)
        else:
            self._free.setdefault(len(buffer), []).append(buffer)
        self._serve()

    def _let_in(self, waiter: _Waiter) -> None:
        waiter.limit_bytes = self._budget_bytes
        self._serve()
        if not waiter.buffer.done():
            loop = asyncio.get_running_loop()
            waiter.patience = loop.call_later(self._patience_s, self._let_in, waiter)
            self._on_pressure()

    def _serve(self) -> None:
        while self._waiting:
            waiter = self._waiting[0]
            if not waiter.buffer.done():
                buffer = self._take(waiter.capacity, waiter.limit_bytes)
                if buffer is None:
                    return
                waiter.buffer.set_result(buffer)
            self._waiting.popleft()

    def _take(self, capacity: int, limit_bytes: int) -> Column | None:
        free = self._free.get(capacity)
        if free:
            return free.pop()
        self._drop_kept(capacity, limit_bytes)
        if self._allocated_bytes and self._allocated_bytes + capacity > limit_bytes:
            return None
        self._allocated_bytes += capacity
        # Whole pages, so that O_DIRECT takes them as they are.
        pages = mmap.mmap(-1, capacity, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return np.frombuffer(pages, dtype=np.uint8)

    def _drop_kept(self, wanted_bytes: int, limit_bytes: int) -> None:
        """Let kept buffers of other sizes go until ``wanted_bytes`` fit below the limit."""
        for capacity, free in self._free.items():
            while free and self._allocated_bytes + wanted_bytes > limit_bytes:
                free.pop()
                self._allocated_bytes -= capacity
