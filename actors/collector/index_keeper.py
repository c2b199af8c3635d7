"""Keeps the index of buckets and objects: builds it by asking the chain, then takes its blocks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from greenray.actors.ports import IndexReport
from greenray.chain.ports import FollowedChain
from greenray.protocol.errors import GreenrayError
from greenray.protocol.index_changes import BlockRecord
from greenray.storage.object_index import IndexRows

log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 1000


class IndexKeeper:
    """Part of the Collector, which reads the blocks. The index is built in the background: what is
    stored can be compared and collected meanwhile."""

    def __init__(self, chain: FollowedChain, rows: IndexRows) -> None:
        self._chain = chain
        self._rows = rows
        self._building: asyncio.Task[IndexReport | None] | None = None
        self._is_lost = False
        self._complaint = ""

    async def height(self) -> int | None:
        """Of the last block that the index has; None: it takes none now.

        Raises: JournalError.
        """
        if self._is_lost or self._building is not None:
            return None
        state = await self._rows.load_index()
        return None if state is None or state.is_building else state.height

    async def take(self, blocks: Sequence[BlockRecord], height: int, *, is_whole: bool) -> None:
        """Blocks up to ``height``, in order; ``is_whole``: none is missing. Nothing happens while
        none are taken. Raises JournalError."""
        if await self.height() is None:
            return
        if not is_whole or not await self._rows.apply_blocks(blocks, height):
            self.lose()

    def lose(self) -> None:
        """Blocks are missing: the chain has to be asked for all of it."""
        self._is_lost = True

    async def forget(self) -> None:
        """The chain went back: the index is of another history. Raises JournalError."""
        await self.close()
        await self._rows.forget_index()
        self.lose()

    def build_if_needed(self, height: int | None) -> None:
        """Begin to build it if it takes no blocks (``height`` None) and nobody builds it yet."""
        if height is None and self._building is None:
            self._building = asyncio.create_task(self._try_build(), name="index build")

    async def wait_for_first(self) -> None:
        """While it is built for the first time nobody can be answered. Raises JournalError."""
        state = await self._rows.load_index()
        if self._building is not None and (state is None or not state.is_built):
            await asyncio.wait([self._building])

    async def rebuild(self) -> IndexReport:
        """Build it anew; returns when it is done. One that is under way counts for nothing: it may
        have been begun before whatever is to be mended. Raises ChainError, JournalError."""
        await self.close()
        building = self._building = asyncio.create_task(self._build(), name="index build")
        try:
            return await building
        finally:
            if self._building is building:
                self._building = None

    async def close(self) -> None:
        """End a build that is under way; it is begun anew another time."""
        if self._building is not None:
            building, self._building = self._building, None
            building.cancel()
            await asyncio.gather(building, return_exceptions=True)

    async def _try_build(self) -> None:
        complaint = ""
        try:
            await self._build()
        except GreenrayError as error:
            complaint = str(error)
            if complaint != self._complaint:
                log.warning("the index of buckets and objects is not built yet: %s", error)
        finally:
            self._complaint = complaint
            if asyncio.current_task() is self._building:
                self._building = None

    async def _build(self) -> IndexReport:
        """Pages are of the state after the block that it is begun at, or later; the blocks since
        then are taken afterwards, and put right what is between."""
        tip = await self._chain.latest_block()
        state = await self._rows.begin_build(tip.height)
        buckets = objects = 0
        page_key = b""
        while True:
            page = await self._chain.bucket_page(page_key)
            await self._rows.put_found(state.build, page.items, ())
            for bucket in page.items:
                objects += await self._put_objects(state.build, bucket.bucket_name)
            buckets += len(page.items)
            if not page.next_key or page.next_key == page_key:
                break
            page_key = page.next_key
        while not await self._rows.end_build(state.build, _ROWS_AT_ONCE):
            continue
        self._is_lost = False
        report = IndexReport(tip.height, buckets, objects)
        log.info("the index was built: %s", report)
        return report

    async def _put_objects(self, build: int, bucket_name: str) -> int:
        found = 0
        page_key = b""
        while True:
            page = await self._chain.object_page(bucket_name, page_key)
            await self._rows.put_found(build, (), page.items)
            found += len(page.items)
            if not page.next_key or page.next_key == page_key:
                return found
            page_key = page.next_key
