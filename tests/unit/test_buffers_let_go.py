"""Who is done with a buffer keeps no reference to it, or its memory stays beyond the budget."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from greenray.actors.credit.buffers import BufferPool
from greenray.actors.ports import Column
from greenray.actors.uploader.hot_columns import HotColumnCache
from greenray.actors.uploader.ingest import IngestTools, PayloadIngest
from greenray.actors.uploader.payload_source import ChunkedPayload, ConnectionPayload
from greenray.protocol.layout import PayloadLayout
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import ColumnKey
from greenray.timeline.stage_trace import StageTrace
from tests.support.spaces import MemorySpace

BATCH_BYTES = 64 * 1024


class WatchedPool(BufferPool):
    """Remembers the buffers that it gave, weakly."""

    def __init__(self, budget_bytes: int) -> None:
        super().__init__(budget_bytes)
        self.given: list[weakref.ref[Column]] = []

    async def acquire(self, size_bytes: int) -> Column:
        buffer = await super().acquire(size_bytes)
        self.given.append(weakref.ref(buffer))
        return buffer


async def test_an_upload_that_waits_for_its_next_buffer_has_let_go_of_the_last() -> None:
    pool = WatchedPool(BATCH_BYTES)
    layout = PayloadLayout(2 * BATCH_BYTES, BATCH_BYTES, 1, 0, batch_segments=1)
    loop = asyncio.get_running_loop()
    other: asyncio.Future[asyncio.Task[Column]] = loop.create_future()

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(BATCH_BYTES - 1)
        # Served before this upload's next batch, and of a size for which the pool drops the first.
        other.set_result(asyncio.create_task(BufferPool.acquire(pool, 2 * BATCH_BYTES)))
        await asyncio.sleep(0)
        yield b"x"
        yield bytes(BATCH_BYTES)

    with ThreadPoolExecutor(2) as threads:
        hot = HotColumnCache(0, 60.0, clock=lambda: 0.0)
        tools = IngestTools(pool, hot, hot, MemorySpace(), threads, threads)
        writer = MemoryPieceStore().create(ColumnKey(1), layout.segments, 1)
        stages = StageTrace().of(1, "sp")
        ingest = PayloadIngest(tools, layout, "sp", 1, writer, stages)
        receiving = asyncio.create_task(ingest.receive(ChunkedPayload(chunks())))
        large = await (await other)
        assert not receiving.done()
        assert [buffer() for buffer in pool.given] == [None]
        pool.release(large)
        await receiving
        await ingest.drain()


@pytest.mark.parametrize("size_bytes", [1, 5000])
async def test_a_connection_lets_go_of_the_memory_that_it_has_filled(size_bytes: int) -> None:
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[asyncio.Transport] = loop.create_future()

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            accepted.set_result(transport)

    server = await loop.create_server(Accepted, "127.0.0.1", 0)
    sender, _ = await loop.create_connection(
        asyncio.Protocol, "127.0.0.1", server.sockets[0].getsockname()[1]
    )
    connection = await accepted
    payload = ConnectionPayload(connection, b"", 2 * size_bytes, 5.0, "here")
    buffer = await BufferPool(BATCH_BYTES).acquire(size_bytes)
    kept = weakref.ref(buffer)
    sender.write(b"x" * size_bytes)
    assert await payload.read_into(buffer[:size_bytes].data) == size_bytes
    assert bytes(buffer[:size_bytes]) == b"x" * size_bytes
    del buffer
    await asyncio.sleep(0)
    assert kept() is None
    sender.abort()
    connection.abort()
    server.close()
