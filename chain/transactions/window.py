"""How many approved messages wait for their block: as many as get there in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_LEAST = 4


class ApprovalWindow:
    """An approval is valid for some blocks only, so the next one is asked for when there is room.
    Half as much room after one has expired, one more after each that was in time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = most
        self._used = 0
        self._room = asyncio.Condition()

    @property
    def size(self) -> int:
        return self._size

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """For one message, first come, first served."""
        async with self._room:
            try:
                await self._room.wait_for(lambda: self._used < self._size)
            except asyncio.CancelledError:
                self._room.notify()  # it may have been told of a place that it does not take
                raise
            self._used += 1
        try:
            yield
        finally:
            self._used -= 1
            async with self._room:
                self._room.notify(2)  # its own, and one by which it has grown

    def was_in_time(self) -> None:
        self._size = min(self._most, self._size + 1)

    def has_expired(self) -> None:
        self._size = max(_LEAST, self._size // 2)
