"""Finds an object on a chain that may be a few blocks behind the primary's (lessons §1.7)."""

from __future__ import annotations

import asyncio

from greenray.actors.chain_view.settings import PatienceSettings
from greenray.chain.ports import ChainClient
from greenray.protocol.errors import NoSuchObject
from greenray.protocol.objects import ObjectInfo


class ObjectFinder:
    """Looks objects up by id. Callers that ask for the same object at once share one query."""

    def __init__(self, chain: ChainClient, patience: PatienceSettings) -> None:
        self._chain = chain
        self._patience = patience
        self._queries: dict[int, asyncio.Task[ObjectInfo]] = {}

    async def find(self, object_id: int) -> ObjectInfo:
        """Raises NoSuchObject when the chain still does not know it, ChainError."""
        query = self._queries.get(object_id)
        if query is None:
            query = asyncio.create_task(self._find(object_id))
            self._queries[object_id] = query
            query.add_done_callback(lambda _: self._queries.pop(object_id))
        return await asyncio.shield(query)

    async def _find(self, object_id: int) -> ObjectInfo:
        try:
            return await self._chain.head_object_by_id(object_id)
        except NoSuchObject:
            return await self._find_in_next_blocks(object_id)

    async def _find_in_next_blocks(self, object_id: int) -> ObjectInfo:
        last_height = await self._chain.latest_height() + self._patience.blocks
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._patience.limit_s
        while True:
            await asyncio.sleep(self._patience.poll_interval_s)
            # The height comes first: what is in that block is then seen by the look-up.
            height = await self._chain.latest_height()
            try:
                return await self._chain.head_object_by_id(object_id)
            except NoSuchObject:
                if height >= last_height or loop.time() >= give_up_at:
                    raise
