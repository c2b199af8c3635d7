"""A client that speaks bytes: for requests that no HTTP library would send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class RawAnswer:
    status: int
    """0 when the connection was closed without a word."""
    head: str
    """With the status line."""
    body: bytes

    def header(self, name: str) -> str:
        """The first value, or an empty text."""
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(": ")
            if key.lower() == name.lower():
                return value
        return ""

    @property
    def code(self) -> str:
        """Of an error answer."""
        return self.body.decode().partition("<Code>")[2].partition("<")[0]


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """As much of it as is taken."""
    with suppress(ConnectionError):
        for start in range(0, len(data), 1 << 16):
            writer.write(data[start : start + (1 << 16)])
            await writer.drain()


async def last_answer(reader: asyncio.StreamReader) -> RawAnswer:
    """What comes until the connection is closed."""
    received = bytearray()
    with suppress(ConnectionError):
        while chunk := await reader.read(1 << 16):
            received += chunk
    return parsed(bytes(received))


def parsed(received: bytes) -> RawAnswer:
    head, _, body = received.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    return RawAnswer(int(words[1]) if len(words) > 1 else 0, head.decode("latin-1"), body)


async def exchange(port: int, data: bytes, *, end: bool = False) -> RawAnswer:
    """Send, with ``end`` say that nothing more comes, and read until the connection is closed."""
    async with connected(port) as (reader, writer):
        await send(writer, data)
        if end:
            writer.write_eof()
        return await last_answer(reader)
