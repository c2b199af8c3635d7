"""What replicate groups that come over HTTP have in common: their memory, and that of each group
one attempt is made at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from greenray.actors.credit.ending import Ending
from greenray.actors.credit.lending_pool import LendingPool
from greenray.protocol.errors import GroupNotOpen

AttemptKey = tuple[str, int, int]
"""SP (operator address), object id, redundancy index."""


class _Attempt:
    def __init__(self) -> None:
        self.ending = Ending()
        self.is_over = asyncio.Event()


class GroupIntake:
    def __init__(self, buffers: LendingPool) -> None:
        self.buffers = buffers
        self._attempts: dict[AttemptKey, _Attempt] = {}

    @asynccontextmanager
    async def only_attempt(self, key: AttemptKey) -> AsyncGenerator[Ending]:
        """For a request whose approval is good. An earlier attempt is ended, and waited for: a
        primary that lost its connection, and comes again, is not kept out by what is left of it.

        Raises GroupNotOpen, when a later one comes.
        """
        attempt, earlier = _Attempt(), self._attempts.get(key)
        self._attempts[key] = attempt
        try:
            with attempt.ending:
                if earlier is not None:
                    earlier.ending.end(_superseded(key))
                    await earlier.is_over.wait()
                yield attempt.ending
        finally:
            if earlier is not None:
                await asyncio.shield(earlier.is_over.wait())
            if self._attempts.get(key) is attempt:
                del self._attempts[key]
            attempt.is_over.set()


def _superseded(key: AttemptKey) -> GroupNotOpen:
    sp_address, object_id, redundancy_index = key
    return GroupNotOpen(
        "a later request with the same approval took its place",
        f"object {object_id}, redundancy index {redundancy_index} at {sp_address}",
        "Send a group once at a time",
    )
