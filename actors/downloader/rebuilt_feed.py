"""From a download to the repair that it has set off: segments need not be rebuilt twice."""

from __future__ import annotations

import asyncio

from greenray.actors.ports import Column


class RebuiltFeed:
    """What one download rebuilds, for one repair that goes through the same segments in order.

    The repair waits for what the download will come to; the download never waits for the repair: a
    segment for which there is no room is dropped, and rebuilt again.
    """

    def __init__(self, segments: range, limit: int) -> None:
        """``segments``: those that the download reads, in order; ``limit``: how many are kept."""
        self._segments = segments
        self._limit = limit
        self._kept: dict[int, Column] = {}
        self._next = segments.start
        self._moved = asyncio.Event()

    @property
    def has_room(self) -> bool:
        return len(self._kept) < self._limit

    def passed(self, segment: int, rebuilt: Column | None) -> None:
        """The download has the segment; ``rebuilt``: a copy of it to keep."""
        if rebuilt is not None:
            self._kept[segment] = rebuilt
        self._next = segment + 1
        self._wake()

    def end(self) -> None:
        """The download reads no more."""
        self._next = self._segments.stop
        self._wake()

    async def take(self, segment: int) -> Column | None:
        """The segment if the download has rebuilt it; waits until that is known."""
        while self._next <= segment < self._segments.stop:
            await self._moved.wait()
        return self._kept.pop(segment, None)

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
