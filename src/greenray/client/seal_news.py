"""Which objects the chain's blocks have sealed: one question for each block, however many wait."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from greenray.chain.ports import ChainHistory
from greenray.protocol.errors import ChainError

_REMEMBERED = 1024
"""Ids that were sealed lately: blocks are faster than who expects them, at times."""

log = logging.getLogger(__name__)


class SealNews:
    """Of one chain, used from one event loop. It asks while anybody expects a seal.

    A hint, no promise: a node may have dropped the block. Who expects a seal looks now and then
    himself.
    """

    def __init__(self, history: ChainHistory | None, poll_interval_s: float) -> None:
        """``history`` None: nothing is ever seen."""
        self._history = history
        self._poll_interval_s = poll_interval_s
        self._expected: dict[int, asyncio.Event] = {}
        self._seen: deque[int] = deque(maxlen=_REMEMBERED)
        self._reader: asyncio.Task[None] | None = None

    @contextmanager
    def expected(self, object_id: int) -> Iterator[asyncio.Event]:
        """Set once a block has sealed the object: one of now, or later, or that was read lately."""
        event = self._expected.setdefault(object_id, asyncio.Event())
        if object_id in self._seen:
            event.set()
        if self._history is not None and (self._reader is None or self._reader.done()):
            self._reader = asyncio.create_task(self._read(self._history))
        try:
            yield event
        finally:
            self._expected.pop(object_id, None)

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self, history: ChainHistory) -> None:
        read_height: int | None = None
        while self._expected:
            try:
                height = (await history.latest_block()).height
                if read_height is None:
                    read_height = height - 1
                while read_height < height:
                    news = await history.block_news(read_height + 1)
                    read_height += 1
                    for object_id in news.sealed_ids if news else ():
                        self._seen.append(object_id)
                        if object_id in self._expected:
                            self._expected[object_id].set()
            except ChainError as error:
                log.debug("blocks are not read: %s", error)
            await asyncio.sleep(self._poll_interval_s)
