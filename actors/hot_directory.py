"""Several Uploaders as one: finds the one that holds an object's hot columns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from actors.ports import ColumnRef, HotColumns
from protocol.errors import ComponentUnavailable


class HotDirectory:
    """Implements ``actors.ports.HotColumns`` over one Uploader per node.

    Nothing says which node took an upload, so all are asked until one has a batch of it; from then
    on it alone. An Uploader that is away holds nothing: its columns died with it.
    """

    def __init__(self, uploaders: Sequence[HotColumns]) -> None:
        self._uploaders = uploaders
        self._holders: dict[tuple[str, int], HotColumns] = {}

    async def hot_columns(
        self, sp_address: str, object_id: int, batch_index: int
    ) -> tuple[ColumnRef, ...] | None:
        """See ``actors.ports.HotColumns``."""

        async def ask(uploader: HotColumns) -> tuple[ColumnRef, ...] | None:
            try:
                return await uploader.hot_columns(sp_address, object_id, batch_index)
            except ComponentUnavailable:
                return None

        asked = self._of(sp_address, object_id)
        answers = await asyncio.gather(*map(ask, asked))
        for uploader, columns in zip(asked, answers, strict=True):
            if columns is not None:
                self._holders[sp_address, object_id] = uploader
                return columns
        return None

    async def release_object(self, sp_address: str, object_id: int) -> None:
        """See ``actors.ports.HotColumns``."""

        async def release(uploader: HotColumns) -> None:
            with suppress(ComponentUnavailable):
                await uploader.release_object(sp_address, object_id)

        asked = self._of(sp_address, object_id)
        self._holders.pop((sp_address, object_id), None)
        await asyncio.gather(*map(release, asked))

    def _of(self, sp_address: str, object_id: int) -> Sequence[HotColumns]:
        """Whom to ask."""
        holder = self._holders.get((sp_address, object_id))
        return self._uploaders if holder is None else (holder,)
