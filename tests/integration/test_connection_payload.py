"""A payload that is read from a connection keeps no reference to memory that it has filled."""

from __future__ import annotations

import asyncio
import weakref

import pytest

from greenray.actors.credit.buffers import BufferPool
from greenray.actors.uploader.payload_source import ConnectionPayload


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
    buffer = await BufferPool(64 * 1024).acquire(size_bytes)
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
