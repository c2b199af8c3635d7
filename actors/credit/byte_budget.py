"""Credit in bytes: nothing is made without it, so memory in flight has a bound."""

from __future__ import annotations

import asyncio
from collections import deque


class ByteBudget:
    """Hands out ``budget_bytes``; who waits first is served first.

    A request larger than the whole budget counts as the whole budget: it runs alone.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._free_bytes = budget_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def acquire(self, size_bytes: int) -> Lease:
        granted_bytes = min(size_bytes, self._budget_bytes)
        if self._waiting or granted_bytes > self._free_bytes:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((granted_bytes, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give_back(granted_bytes)
                self._serve()
                raise
        else:
            self._free_bytes -= granted_bytes
        return Lease(self, granted_bytes)

    def _give_back(self, size_bytes: int) -> None:
        self._free_bytes += size_bytes
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            size_bytes, turn = self._waiting[0]
            if not turn.done():
                if size_bytes > self._free_bytes:
                    return
                self._free_bytes -= size_bytes
                turn.set_result(None)
            self._waiting.popleft()


class Lease:
    """Credit for one batch, given back when the last of its holders is done."""

    def __init__(self, budget: ByteBudget, size_bytes: int) -> None:
        self._budget = budget
        self._size_bytes = size_bytes
        self._holders = 1

    def share(self, holders: int) -> None:
        """From now on ``holders`` calls of ``done`` give the credit back."""
        self._holders = holders

    def done(self) -> bool:
        """Whether this was the last holder."""
        self._holders -= 1
        if self._holders == 0:
            self._budget._give_back(self._size_bytes)
        return self._holders == 0

    def cancel(self) -> None:
        """Give back at once what has not been given back."""
        if self._holders > 0:
            self._holders = 0
            self._budget._give_back(self._size_bytes)
