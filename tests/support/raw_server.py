"""A server that speaks bytes: for peers that keep to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Speak = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(speak: Speak) -> AsyncIterator[str]:
    """The endpoint of a server that reads the head of each request and its body, as far as its
    length is told, then speaks, and then closes the connection."""
    running: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                    if "content-length: " in head:
                        length = head.split("content-length: ")[1].split("\r\n")[0]
                        await reader.readexactly(int(length))
                    await speak(writer)
                    await writer.drain()
                    if writer.is_closing():
                        return
        finally:
            running.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def answer(
    body: bytes, *, status: str = "200 OK", length: int | None = None, more: str = ""
) -> bytes:
    """Bytes of an HTTP answer; ``more``: lines of its head, each with its end."""
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{more}\r\n".encode() + body


async def endless_chunks(writer: asyncio.StreamWriter, block: bytes, more: str = "") -> None:
    """200 with a body of chunks that never ends, as fast as it is read."""
    writer.write(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{more}\r\n".encode())
    chunk = f"{len(block):x}\r\n".encode() + block + b"\r\n"
    while True:
        writer.write(chunk)
        await writer.drain()
