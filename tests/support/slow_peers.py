"""Peers that send and read at a pace of their own, over raw connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

from yarl import URL


class RawRequest:
    """One request on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def begin(
        cls, method: str, url: URL, headers: Mapping[str, str], *, receive_buffer_bytes: int = 0
    ) -> RawRequest:
        """Connect and send the head. ``receive_buffer_bytes``: what the kernel takes for a reader
        that does not read, 0 for its default."""
        connection = socket.socket()
        if receive_buffer_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (url.host, url.port))
        # Nothing is read ahead of whoever asks.
        reader, writer = await asyncio.open_connection(sock=connection, limit=1024)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"{method} {url.raw_path_qs} HTTP/1.1\r\n{head}\r\n".encode())
        await writer.drain()
        return cls(reader, writer)

    async def send(self, payload: bytes) -> None:
        self.writer.write(payload)
        await self.writer.drain()

    async def head(self) -> list[str]:
        """Status line and headers of the answer."""
        return (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")

    @property
    def is_answered(self) -> bool:
        """Whether anything came, or the connection was ended."""
        return bool(self.reader._buffer) or self.reader.at_eof()  # type: ignore[attr-defined]

    async def close(self) -> None:
        self.writer.transport.abort()
