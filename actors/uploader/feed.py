"""How far one upload is, for whoever sends its batches ahead."""

from __future__ import annotations

import asyncio


class UploadFeed:
    """Counts the batches of one running upload that can be read already."""

    def __init__(self) -> None:
        self._stored_batches = 0
        self._is_over = False
        self._changed = asyncio.Event()

    def batch_stored(self) -> None:
        """The next batch can be read."""
        self._stored_batches += 1
        self._announce()

    def end(self) -> None:
        """The upload is over: its job's row says how it ended."""
        self._is_over = True
        self._announce()

    async def wait_for(self, batch_index: int) -> bool:
        """True as soon as the batch can be read, False when the upload ended before."""
        while self._stored_batches <= batch_index:
            if self._is_over:
                return False
            await self._changed.wait()
        return True

    async def wait_for_end(self) -> None:
        while not self._is_over:
            await self._changed.wait()

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
