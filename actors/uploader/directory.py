"""Several Uploaders as one: finds the one that receives an object, or holds its hot columns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from greenray.actors.ports import ColumnRef, UploaderPort
from greenray.protocol.errors import ComponentUnavailable
from greenray.protocol.job import JobContext

T = TypeVar("T")


class UploaderDirectory:
    """Implements ``UploaderPort`` over one Uploader per node.

    Nothing says which node took an upload, so all are asked until one knows of it; from then on it
    alone. An Uploader that is away receives and holds nothing: its uploads and columns died with
    it.
    """

    def __init__(self, uploaders: Sequence[UploaderPort]) -> None:
        self._uploaders = uploaders
        self._known: dict[tuple[str, int], UploaderPort] = {}

    async def hot_columns(
        self, sp_address: str, object_id: int, batch_index: int
    ) -> tuple[ColumnRef, ...] | None:
        """See ``greenray.actors.ports.HotColumns``."""
        return await self._ask(
            sp_address, object_id, lambda u: u.hot_columns(sp_address, object_id, batch_index)
        )

    async def release_batch(self, sp_address: str, object_id: int, batch_index: int) -> None:
        """See ``greenray.actors.ports.HotColumns``."""
        await self._ask(
            sp_address, object_id, lambda u: u.release_batch(sp_address, object_id, batch_index)
        )

    async def release_object(self, sp_address: str, object_id: int) -> None:
        """See ``greenray.actors.ports.HotColumns``."""
        await self._ask(sp_address, object_id, lambda u: u.release_object(sp_address, object_id))
        self._known.pop((sp_address, object_id), None)

    async def wait_for_batch(self, job: JobContext, batch_index: int) -> bool:
        """See ``greenray.actors.ports.RunningUploads``."""
        arrived = await self._ask(
            job.sp_address, job.object_id, lambda u: u.wait_for_batch(job, batch_index)
        )
        return bool(arrived)

    async def wait_for_end(self, job: JobContext) -> None:
        """See ``greenray.actors.ports.RunningUploads``."""
        await self._ask(job.sp_address, job.object_id, lambda u: u.wait_for_end(job))

    async def _ask(
        self,
        sp_address: str,
        object_id: int,
        question: Callable[[UploaderPort], Awaitable[T | None]],
    ) -> T | None:
        """The first answer that is one; the Uploader that gave it is the object's."""

        async def answer(uploader: UploaderPort) -> T | None:
            try:
                return await question(uploader)
            except ComponentUnavailable:
                return None

        known = self._known.get((sp_address, object_id))
        asked = self._uploaders if known is None else (known,)
        answers = await asyncio.gather(*map(answer, asked))
        for uploader, given in zip(asked, answers, strict=True):
            if given:
                self._known[sp_address, object_id] = uploader
                return given
        return None
