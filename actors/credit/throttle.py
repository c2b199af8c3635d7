"""An even rate of bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Throttle:
    """Lets so many bytes pass per second."""

    def __init__(
        self,
        bytes_s: Callable[[], int],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``bytes_s``: asked at each ``take``; 0: as many as come."""
        self._bytes_s = bytes_s
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0

    async def take(self, size_bytes: int) -> None:
        """Wait until what was taken before has had its time."""
        bytes_s = self._bytes_s()
        if not bytes_s:
            return
        now = self._clock()
        free_at = max(self._free_at, now)
        self._free_at = free_at + size_bytes / bytes_s
        if free_at > now:
            await self._sleep(free_at - now)
