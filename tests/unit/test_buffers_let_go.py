"""Who is done with a buffer keeps no reference to it, or its memory stays beyond the budget."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from greenray.actors.credit.lending import OURSELVES, Borrower
from greenray.actors.credit.lending_pool import LendingPool, LentBuffer
from greenray.actors.credit.settings import LendingSettings
from greenray.actors.ports import Column
from greenray.actors.uploader.hot_columns import HotColumnCache
from greenray.actors.uploader.ingest import IngestTools, PayloadIngest
from greenray.actors.uploader.payload_source import ChunkedPayload
from greenray.protocol.layout import PayloadLayout
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import ColumnKey, Fence
from greenray.timeline.stage_trace import StageTrace
from tests.support.spaces import MemorySpace

BATCH_BYTES = 64 * 1024


class WatchedPool(LendingPool):
    """Remembers the buffers that it gave, weakly."""

    def __init__(self, budget_bytes: int) -> None:
        super().__init__(budget_bytes, LendingSettings(), what="uploads", least_bytes_per_s=0)
        self.given: list[weakref.ref[Column]] = []

    async def lend(
        self, size_bytes: int, borrower: Borrower = OURSELVES, *, wait_s: float | None = None
    ) -> LentBuffer:
        lent = await super().lend(size_bytes, borrower, wait_s=wait_s)
        self.given.append(weakref.ref(lent.buffer))
        return lent


async def test_an_upload_that_waits_for_its_next_buffer_has_let_go_of_the_last() -> None:
    pool = WatchedPool(BATCH_BYTES)
    layout = PayloadLayout(2 * BATCH_BYTES, BATCH_BYTES, 1, 0, batch_segments=1)
    loop = asyncio.get_running_loop()
    other: asyncio.Future[asyncio.Task[LentBuffer]] = loop.create_future()

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(BATCH_BYTES - 1)
        # Served before this upload's next batch, and of a size for which the pool drops the first.
        other.set_result(asyncio.create_task(LendingPool.lend(pool, 2 * BATCH_BYTES)))
        await asyncio.sleep(0)
        yield b"x"
        yield bytes(BATCH_BYTES)

    with ThreadPoolExecutor(2) as threads:
        hot = HotColumnCache(0, 60.0, clock=lambda: 0.0)
        tools = IngestTools(pool, hot, hot, MemorySpace(), threads, threads)
        writer = MemoryPieceStore().create(ColumnKey(1), layout.segments, Fence(1))
        stages = StageTrace().of(1, "sp")
        ingest = PayloadIngest(tools, layout, "sp", 1, writer, stages)
        receiving = asyncio.create_task(ingest.receive(ChunkedPayload(chunks())))
        large = await (await other)
        assert not receiving.done()
        assert [buffer() for buffer in pool.given] == [None]
        large.give_back()
        await receiving
        await ingest.drain()
