"""What ``Network.put_many`` returns: outcomes as they come, in a loop of either kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from greenray.api.closing import Closing
from greenray.api.loop_thread import LoopThread
from greenray.client.put_outcome import PutOutcome


class ManyPuts(Closing):
    """Iterate it once, with ``for`` or ``async for``. Who stops before its end closes it, or uses
    it in a ``with`` block: what is in the air is left where it is then, and run again another
    time."""

    def __init__(self, loop: LoopThread, outcomes: AsyncGenerator[PutOutcome]) -> None:
        self._loop = loop
        self._outcomes = outcomes
        self._closed = False

    def __iter__(self) -> ManyPuts:
        return self

    def __next__(self) -> PutOutcome:
        outcome = None if self._closed else self._loop.run(self._next())
        if outcome is None:
            raise StopIteration
        return outcome

    def __aiter__(self) -> ManyPuts:
        return self

    async def __anext__(self) -> PutOutcome:
        if self._closed:
            raise StopAsyncIteration
        outcome = await asyncio.wrap_future(self._loop.submit(self._next()))
        if outcome is None:
            raise StopAsyncIteration
        return outcome

    def close(self) -> None:
        """Take nothing more. Idempotent."""
        if not self._closed:
            self._closed = True
            self._loop.run(self._outcomes.aclose())

    async def _next(self) -> PutOutcome | None:
        """None: that was all."""
        return await anext(self._outcomes, None)
